// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Debian's source of Linux 6.12, kept as the package has it: compressed, as one file.
//!
//! Like a fetched kernel it stays until its folder is deleted: all variants are of one version,
//! and a changed patch needs no mirror.

use std::fs;
use std::path::{Path, PathBuf};

use super::BuildError;
use crate::artifacts::apt::{Suite, Want};
use crate::artifacts::artifact;
use crate::artifacts::cache::{Cache, CacheError, Lock};
use crate::artifacts::packages::{self, PackagesError};

const PACKAGE: &str = "linux-source-6.12";
const SUITE: &str = "trixie";
const NAME: &str = "kernel-source-6.12";
/// The folder that everything in the archive is in.
pub(super) const TOP: &str = "linux-source-6.12";
const TARBALL: &str = "usr/src/linux-source-6.12.tar.xz";
/// The file with the package's version.
const VERSION: &str = "version";

/// The source's archive.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) tarball: PathBuf,
    /// The package's version.
    pub(super) version: String,
}

/// The cache's copy, fetched when there is none.
pub(super) fn obtain(cache: &Cache) -> Result<Source, BuildError> {
    let tree = artifact::obtain(cache, NAME, |lock, tree| {
        fetch(cache, lock, tree).map_err(BuildError::Source)?;
        let tarball = tree.join(TARBALL);
        if tarball.is_file() {
            Ok(())
        } else {
            Err(BuildError::Shape(TARBALL))
        }
    })?;
    locate(&tree)
}

/// The cache's copy, if there is one.
pub(super) fn cached(cache: &Cache) -> Result<Option<Source>, BuildError> {
    artifact::open(cache, NAME)?
        .map(|tree| locate(&tree))
        .transpose()
}

fn fetch(cache: &Cache, lock: &Lock, tree: &Path) -> Result<(), PackagesError> {
    let suite = Suite::open(cache, lock, SUITE)?;
    let packages = [PACKAGE.to_owned()];
    let what = "the source of Linux 6.12";
    packages::unpack(&suite, what, Want::Exactly(&packages), tree)?;
    let path = tree.join(VERSION);
    let version = suite.version(PACKAGE)?;
    Ok(fs::write(&path, version).map_err(CacheError::io("writing", &path))?)
}

fn locate(tree: &Path) -> Result<Source, BuildError> {
    let path = tree.join(VERSION);
    let version = fs::read_to_string(&path).map_err(CacheError::io("reading", &path))?;
    Ok(Source {
        tarball: tree.join(TARBALL),
        version,
    })
}
