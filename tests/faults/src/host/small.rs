// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A file system that is soon full.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A tmpfs. Unmounted when it is dropped.
#[derive(Debug)]
pub struct Small {
    folder: TempDir,
}

impl Small {
    /// With room for so many bytes.
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

    /// Where it is mounted.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The same.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Detached: whoever uses it still does not keep it here.
        let _ = unmount(self.folder.path(), UnmountFlags::DETACH);
    }
}
