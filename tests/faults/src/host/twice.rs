// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A directory that is mounted at two places of a share.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use tempfile::TempDir;

/// A share in which `one` and `two` are one directory. Its drop unmounts both.
#[derive(Debug)]
pub struct Twice {
    folder: TempDir,
}

/// The two places.
const PLACES: [&str; 2] = ["one", "two"];

impl Twice {
    /// Mounts a new directory.
    ///
    /// # Errors
    /// If it can't be mounted.
    pub fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let below = folder.path().join("below");
        fs::create_dir(&below)?;
        Self::mount_in(folder, &below)
    }

    /// Mounts this directory.
    ///
    /// # Errors
    /// If it can't be mounted.
    pub fn mount_of(directory: &Path) -> Result<Self> {
        Self::mount_in(tempfile::tempdir()?, directory)
    }

    fn mount_in(folder: TempDir, directory: &Path) -> Result<Self> {
        let twice = Self { folder };
        for place in PLACES {
            let place = twice.share().join(place);
            fs::create_dir_all(&place)?;
            mount_bind(directory, &place).context("mount a directory once more")?;
        }
        Ok(twice)
    }

    /// The share.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.folder.path().join("share")
    }
}

impl Drop for Twice {
    fn drop(&mut self) {
        for place in PLACES {
            // Detached, so that a process that still uses the mount does not block this.
            let _ = unmount(self.share().join(place), UnmountFlags::DETACH);
        }
    }
}
