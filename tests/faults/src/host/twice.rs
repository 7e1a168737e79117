// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A directory that is mounted at two places of a share.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use tempfile::TempDir;

/// A share in which `one` and `two` are one directory. Unmounted when it is dropped.
#[derive(Debug)]
pub struct Twice {
    folder: TempDir,
}

impl Twice {
    /// Mounts one upon the other.
    ///
    /// # Errors
    /// If it can't be mounted.
    pub fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        fs::create_dir(&one)?;
        fs::create_dir(&two)?;
        mount_bind(&one, &two).context("mount a directory once more")?;
        Ok(Self { folder })
    }

    /// What is shared.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

impl Drop for Twice {
    fn drop(&mut self) {
        // Detached: whoever uses it still does not keep it here.
        let _ = unmount(self.folder.path().join("two"), UnmountFlags::DETACH);
    }
}
