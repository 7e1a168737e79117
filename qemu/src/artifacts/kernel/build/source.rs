// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Debian's sources of Linux, kept as the packages have them: compressed, as one file.
//!
//! Like a fetched kernel a source stays until its folder is deleted: all variants are of one version,
//! and a changed patch needs no mirror.

use std::fs;
use std::path::{Path, PathBuf};

use super::BuildError;
use super::base::{Base, Origin};
use crate::artifacts::apt::{Suite, Want};
use crate::artifacts::artifact;
use crate::artifacts::cache::{Cache, CacheError, Lock};
use crate::artifacts::packages;
use crate::artifacts::pool::PoolFile;

/// The file with the package's version.
const VERSION: &str = "version";

/// The source's archive.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) tarball: PathBuf,
    /// The folder that everything in the archive is in.
    pub(super) top: String,
    /// The package's version.
    pub(super) version: String,
}

/// The package's name, and that of the folder in its archive.
fn package(base: Base) -> String {
    format!("linux-source-{}", base.name())
}

/// The artifact's name.
fn name(base: Base) -> String {
    format!("kernel-source-{}", base.name())
}

/// Where the archive is in the package.
fn tarball(base: Base) -> String {
    format!("usr/src/{}.tar.xz", package(base))
}

/// The cache's copy, fetched when there is none.
pub(super) fn obtain(base: Base, cache: &Cache) -> Result<Source, BuildError> {
    let tree = artifact::obtain(cache, &name(base), |lock, tree| {
        let version = match base.origin() {
            Origin::Suite(suite) => fetch(base, suite, cache, lock, tree)?,
            Origin::Pool { version, file } => {
                fetch_pinned(&file, cache, tree)?;
                version.to_owned()
            }
        };
        let path = tree.join(VERSION);
        fs::write(&path, version).map_err(CacheError::io("writing", &path))?;
        let tarball = tarball(base);
        if tree.join(&tarball).is_file() {
            Ok(())
        } else {
            Err(BuildError::Shape(tarball))
        }
    })?;
    locate(base, &tree)
}

/// The cache's copy, if there is one.
pub(super) fn cached(base: Base, cache: &Cache) -> Result<Option<Source>, BuildError> {
    artifact::open(cache, &name(base))?
        .map(|tree| locate(base, &tree))
        .transpose()
}

/// Fetches the newest version, and returns it.
fn fetch(
    base: Base,
    suite: &str,
    cache: &Cache,
    lock: &Lock,
    tree: &Path,
) -> Result<String, BuildError> {
    let suite = Suite::open(cache, lock, suite).map_err(BuildError::source)?;
    let package = package(base);
    let what = format!("the source of Linux {}", base.name());
    let packages = [package.clone()];
    packages::unpack(&suite, &what, Want::Exactly(&packages), tree).map_err(BuildError::source)?;
    suite.version(&package).map_err(BuildError::source)
}

/// Fetches the package's file.
fn fetch_pinned(file: &PoolFile, cache: &Cache, tree: &Path) -> Result<(), BuildError> {
    let archive = tree.join("package.deb");
    file.fetch(cache, &archive).map_err(BuildError::Pool)?;
    packages::extract(&[archive.as_path()], tree).map_err(BuildError::source)?;
    fs::remove_file(&archive).map_err(CacheError::io("removing", &archive))?;
    Ok(())
}

fn locate(base: Base, tree: &Path) -> Result<Source, BuildError> {
    let path = tree.join(VERSION);
    let version = fs::read_to_string(&path).map_err(CacheError::io("reading", &path))?;
    Ok(Source {
        tarball: tree.join(tarball(base)),
        top: package(base),
        version,
    })
}
