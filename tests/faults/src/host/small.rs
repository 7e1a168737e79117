// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file system that fills quickly.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A tmpfs. Its drop unmounts it.
#[derive(Debug)]
pub struct Small {
    folder: TempDir,
}

impl Small {
    /// Mounts a tmpfs with room for this many bytes.
    ///
    /// # Errors
    /// If it can't be mounted.
    pub fn mount(size: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let options = CString::new(format!("size={size}"))?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("none", folder.path(), "tmpfs", flags, &*options).context("mount a tmpfs")?;
        Ok(Self { folder })
    }

    /// The mount point.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The mount point.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Detached, so that a process that still uses the mount does not block this.
        let _ = unmount(self.folder.path(), UnmountFlags::DETACH);
    }
}
