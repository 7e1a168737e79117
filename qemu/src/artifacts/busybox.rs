// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A static busybox: the guest's shell and tools.
//!
//! It comes from one fixed suite, so that a guest is the same whatever its host.

use std::path::{Path, PathBuf};

use super::apt::{Suite, Want};
use super::artifact;
use super::cache::{Cache, CacheError};
use super::packages::{self, PackagesError};

/// Why there is no busybox.
#[derive(Debug, thiserror::Error)]
pub enum BusyboxError {
    /// The cache folder can't be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The package could not be fetched.
    #[error("getting busybox")]
    Packages(#[from] PackagesError),
    /// The package lacks an expected file.
    #[error("the package busybox-static of Debian {SUITE} holds no bin/busybox")]
    Shape,
}

const NAME: &str = "busybox";
/// The suite of the guests' default kernel, whose index is in the cache anyway.
const SUITE: &str = "trixie";

/// Path of a static busybox, fetched when the cache has none.
pub fn obtain(cache: &Cache) -> Result<PathBuf, BusyboxError> {
    let tree = artifact::obtain(cache, NAME, |lock, tree| -> Result<(), BusyboxError> {
        let suite = Suite::open(cache, lock, SUITE).map_err(PackagesError::from)?;
        packages::unpack(
            &suite,
            NAME,
            Want::Exactly(&["busybox-static".to_owned()]),
            tree,
        )?;
        program(tree).map(drop)
    })?;
    program(&tree)
}

/// Like [`obtain`], but never fetches.
pub fn cached(cache: &Cache) -> Result<Option<PathBuf>, BusyboxError> {
    artifact::open(cache, NAME)?
        .map(|tree| program(&tree))
        .transpose()
}

fn program(tree: &Path) -> Result<PathBuf, BusyboxError> {
    packages::first_of(tree, ["usr/bin/busybox", "bin/busybox"]).ok_or(BusyboxError::Shape)
}
