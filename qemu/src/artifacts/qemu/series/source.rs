// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! QEMU's source as Debian has it, and what building it takes from PyPI: two wheels that releases
//! of QEMU bring along and Debian's archive leaves out.
//!
//! All of it is pinned by digest. The version is the newest whose source Debian's mirrors were seen
//! to have, which is not the newest that their indexes name.

use std::fs;
use std::path::{Path, PathBuf};

use super::SeriesError;
use crate::artifacts::artifact;
use crate::artifacts::cache::{Cache, CacheError};
use crate::artifacts::packages;
use crate::artifacts::pool::PoolFile;
use crate::artifacts::tool;

/// The version of QEMU.
pub(super) const VERSION: &str = "11.1.1";

const ARCHIVE: PoolFile = PoolFile {
    what: "the source of QEMU 11.1.1",
    place: "pool/main/q/qemu/qemu_11.1.1+ds.orig.tar.xz",
    bytes: 39_217_980,
    sha256: "0b1376e75dbe3e2fea4e408f8669f88a723f419f36a5b7d74cc6a4cfe07e4f5e",
};

/// As pip reads it: versions and digests.
const WHEELS: &str = "\
meson==1.11.1 --hash=sha256:9b3a023657e393dbc5335b95c561337d49b7a458f5541e47ec44f2cc566e0d80
pycotap==1.3.1 --hash=sha256:1c3a25b3ff89e48f4e00f1f71dbbc1642b4f65c65d416524d07e73492fff25ea
";

const ARCHIVE_FILE: &str = "qemu.tar.xz";
const WHEELS_FOLDER: &str = "wheels";

/// What is compiled.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) archive: PathBuf,
    pub(super) wheels: PathBuf,
}

/// What all that is fetched is known by.
pub(super) fn ingredients() -> [&'static str; 2] {
    [ARCHIVE.sha256, WHEELS]
}

/// The cache's copy, fetched when there is none.
pub(super) fn obtain(cache: &Cache) -> Result<Source, SeriesError> {
    let name = format!("qemu-source-{VERSION}");
    let tree = artifact::obtain(cache, &name, |_lock, tree| fetch(cache, tree))?;
    Ok(Source {
        archive: tree.join(ARCHIVE_FILE),
        wheels: tree.join(WHEELS_FOLDER),
    })
}

fn fetch(cache: &Cache, tree: &Path) -> Result<(), SeriesError> {
    ARCHIVE.fetch(cache, &tree.join(ARCHIVE_FILE))?;
    fetch_wheels(tree)?;
    Ok(packages::settle(tree)?)
}

/// By a pip of its own: this machine may have none.
fn fetch_wheels(tree: &Path) -> Result<(), SeriesError> {
    const DOING: &str = "getting meson from PyPI";
    let pip = tree.join("pip");
    let mut venv = tool::command("python3");
    venv.args(["-m", "venv"]).arg(&pip);
    tool::output(&mut venv).map_err(SeriesError::tool(DOING))?;
    let wanted = pip.join("wanted");
    fs::write(&wanted, WHEELS).map_err(CacheError::io("writing", &wanted))?;
    let mut download = tool::command(pip.join("bin/pip"));
    download
        .args(["download", "--quiet", "--no-cache-dir", "--no-deps"])
        .args(["--only-binary", ":all:", "--require-hashes", "-r"])
        .arg(&wanted)
        .arg("-d")
        .arg(tree.join(WHEELS_FOLDER));
    tool::output(&mut download).map_err(SeriesError::tool(DOING))?;
    fs::remove_dir_all(&pip).map_err(CacheError::io("removing", &pip))?;
    Ok(())
}
