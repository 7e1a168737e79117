// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A private prefix: QEMU, its firmware and all its libraries, unpacked from one Debian suite.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::probe::{self, OLDEST, QemuVersion};
use super::{PROGRAM, QemuError};
use crate::artifacts::apt::{Suite, Want};
use crate::artifacts::artifact;
use crate::artifacts::cache::{Cache, CacheError, Lock};
use crate::artifacts::packages::{self, PackagesError};

/// Suites that may have a QEMU that is new enough, the steadier one first.
const SUITES: [&str; 2] = ["forky", "sid"];
const PACKAGE: &str = "qemu-system-x86";
const NAME: &str = "qemu";
/// Holds the version that the probe found, beside the unpacked packages.
const VERSION_FILE: &str = "qemu-version";

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
/// Where packages put firmware and option ROMs.
const DATA: [&str; 3] = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];

/// An unpacked QEMU.
pub(super) struct Prefix(PathBuf);

/// The cache's QEMU, fetched when it has none.
pub(super) fn obtain(cache: &Cache) -> Result<Prefix, QemuError> {
    artifact::obtain(cache, NAME, |lock, tree| fetch(cache, lock, tree)).map(Prefix)
}

/// The cache's QEMU, if it has one.
pub(super) fn cached(cache: &Cache) -> Result<Option<Prefix>, QemuError> {
    Ok(artifact::open(cache, NAME)?.map(Prefix))
}

fn fetch(cache: &Cache, lock: &Lock, tree: &Path) -> Result<(), QemuError> {
    let mut found = Vec::new();
    for name in SUITES {
        let suite = Suite::open(cache, lock, name).map_err(PackagesError::from)?;
        let packaged = suite.version(PACKAGE).map_err(PackagesError::from)?;
        if upstream(&packaged).is_none_or(|version| version < OLDEST) {
            found.push(packaged);
            continue;
        }
        let what = format!(
            "QEMU {} and its libraries",
            upstream(&packaged).unwrap_or(OLDEST)
        );
        packages::unpack(&suite, &what, Want::Closure(&[PACKAGE.to_owned()]), tree)?;
        let prefix = Prefix(tree.to_owned());
        let version = probe::probe(&tree.join("usr/bin").join(PROGRAM), &prefix.argv()?)?;
        let path = tree.join(VERSION_FILE);
        fs::write(&path, version.to_string()).map_err(CacheError::io("writing", &path))?;
        return Ok(());
    }
    Err(QemuError::NoneNewEnough {
        suites: SUITES.join(" or "),
        found: found.join(", "),
    })
}

/// The upstream part of a package's version, such as `1:11.1.2+ds-3`.
fn upstream(packaged: &str) -> Option<QemuVersion> {
    QemuVersion::parse(packaged.split_once(':').map_or(packaged, |(_, rest)| rest))
}

impl Prefix {
    /// The words that start this QEMU: its own loader with its own libraries, then its data.
    pub(super) fn argv(&self) -> Result<Vec<OsString>, QemuError> {
        let program = Path::new("usr/bin").join(PROGRAM);
        for (path, name) in [
            (Path::new(LOADER), LOADER),
            (&program, "usr/bin/qemu-system-x86_64"),
        ] {
            if !self.0.join(path).is_file() {
                return Err(QemuError::Shape(name));
            }
        }
        let mut argv: Vec<OsString> = vec![
            self.0.join(LOADER).into(),
            "--library-path".into(),
            self.0.join(LIBRARIES).into(),
            self.0.join(program).into(),
        ];
        argv.extend(self.data());
        Ok(argv)
    }

    /// The words that name the folders of its firmware.
    pub(super) fn data(&self) -> impl Iterator<Item = OsString> {
        let folders = DATA.map(|folder| self.0.join(folder));
        folders
            .into_iter()
            .flat_map(|folder| ["-L".into(), folder.into()])
    }

    pub(super) fn version(&self) -> Result<QemuVersion, QemuError> {
        let path = self.0.join(VERSION_FILE);
        let text = fs::read_to_string(&path).map_err(CacheError::io("reading", &path))?;
        QemuVersion::parse(&text).ok_or(QemuError::Shape(VERSION_FILE))
    }

    pub(super) fn into_root(self) -> PathBuf {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_no_part_of_the_upstream_version() {
        assert_eq!(upstream("1:11.1.2+ds-3").unwrap().to_string(), "11.1.2");
        assert_eq!(upstream("11.1.0~rc1+ds-1").unwrap().to_string(), "11.1.0");
        assert!(upstream("1:10.2.0+ds-1").unwrap() < OLDEST);
    }

    #[test]
    fn a_prefix_without_its_loader_is_refused() {
        let empty = tempfile::TempDir::new().unwrap();
        assert!(matches!(
            Prefix(empty.path().to_owned()).argv(),
            Err(QemuError::Shape(LOADER))
        ));
    }
}
