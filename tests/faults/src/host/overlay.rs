// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A directory over another one, which does not change.

use std::ffi::CString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::Small;

/// Bytes of the file system that holds both directories.
const ROOM: u64 = 64 << 20;

/// An overlayfs on a tmpfs. Its drop unmounts it.
#[derive(Debug)]
pub struct Overlay {
    below: Small,
}

impl Overlay {
    /// Mounts an overlayfs whose lower directory is filled by `fill`.
    ///
    /// # Errors
    /// If there is no overlayfs.
    pub fn mount(fill: impl FnOnce(&std::path::Path) -> Result<()>) -> Result<Self> {
        let below = Small::mount(ROOM)?;
        let folder = below.folder();
        for name in ["lower", "upper", "work", "share"] {
            fs::create_dir(folder.join(name))?;
        }
        fill(&folder.join("lower"))?;
        let [lower, upper, work] =
            ["lower", "upper", "work"].map(|name| folder.join(name).display().to_string());
        let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let (share, flags) = (folder.join("share"), MountFlags::empty());
        mount("none", &share, "overlay", flags, &*CString::new(layers)?)
            .context("mount an overlayfs")?;
        Ok(Self { below })
    }

    /// The mount point.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.below.folder().join("share")
    }

    /// The names that were copied up or made since.
    ///
    /// # Errors
    /// If they can't be listed.
    pub fn changed(&self) -> Result<Vec<String>> {
        let upper = fs::read_dir(self.below.folder().join("upper"))?;
        upper
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // Detached, so that a process that still uses the mount does not block this.
        let _ = unmount(self.share(), UnmountFlags::DETACH);
    }
}
