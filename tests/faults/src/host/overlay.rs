// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A directory over another one, which stays as it is.

use std::ffi::CString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::Small;

/// Bytes of the file system that all of it is on.
const ROOM: u64 = 64 << 20;

/// An overlayfs on a tmpfs. Unmounted when it is dropped.
#[derive(Debug)]
pub struct Overlay {
    below: Small,
}

impl Overlay {
    /// Mounts one whose lower directory is what `fill` makes.
    ///
    /// # Errors
    /// Where there is no overlayfs.
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

    /// Where it is mounted.
    #[must_use]
    pub fn share(&self) -> PathBuf {
        self.below.folder().join("share")
    }

    /// What was copied up or made since.
    ///
    /// # Errors
    /// When it can't be listed.
    pub fn changed(&self) -> Result<Vec<String>> {
        let upper = fs::read_dir(self.below.folder().join("upper"))?;
        upper
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        // Detached: what uses it still does not keep it here.
        let _ = unmount(self.share(), UnmountFlags::DETACH);
    }
}
