// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Mounts without failures: a small tmpfs, an overlayfs, a directory at two places.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use tempfile::TempDir;

/// A mount point. Its drop unmounts it.
#[derive(Debug)]
pub struct Mounted(PathBuf);

impl Mounted {
    /// Mounts a new file system without a device.
    pub fn new(kind: &str, at: PathBuf, options: &str) -> Result<Self> {
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        mount("none", &at, kind, flags, &*CString::new(options)?)
            .with_context(|| format!("mount {kind} at {}", at.display()))?;
        Ok(Self(at))
    }

    /// Mounts a directory at a second place.
    pub fn bind(directory: &Path, at: PathBuf) -> Result<Self> {
        mount_bind(directory, &at).with_context(|| format!("mount {}", directory.display()))?;
        Ok(Self(at))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Detached, so that a process that still uses the mount does not block this.
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            log::warn!("{} stays mounted: {error}", self.0.display());
        }
    }
}

/// A tmpfs that fills quickly.
#[derive(Debug)]
pub struct Small {
    // Dropped first: the folder is the mount point.
    _mounted: Mounted,
    folder: TempDir,
}

impl Small {
    /// Mounts a tmpfs with room for this many bytes.
    pub fn mount(size: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let _mounted = Mounted::new("tmpfs", folder.path().to_owned(), &format!("size={size}"))?;
        Ok(Self { _mounted, folder })
    }

    /// The mount point.
    pub fn share(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// An overlayfs on a tmpfs. Its lower directory must not change.
#[derive(Debug)]
pub struct Overlay {
    // Dropped first: the mount point is on the tmpfs.
    _mounted: Mounted,
    below: Small,
}

impl Overlay {
    /// Bytes of the file system that holds both directories.
    const ROOM: u64 = 64 << 20;

    /// Mounts an overlayfs whose lower directory is filled by `fill`.
    pub fn mount(fill: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let below = Small::mount(Self::ROOM)?;
        let [lower, upper, work, share] =
            ["lower", "upper", "work", "share"].map(|name| below.share().join(name));
        for directory in [&lower, &upper, &work, &share] {
            fs::create_dir(directory)?;
        }
        fill(&lower)?;
        let [lower, upper, work] = [lower, upper, work].map(|path| path.display().to_string());
        let layers = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let _mounted = Mounted::new("overlay", share, &layers)?;
        Ok(Self { _mounted, below })
    }

    /// The mount point.
    pub fn share(&self) -> PathBuf {
        self.below.share().join("share")
    }

    /// The names that were copied up or made since.
    pub fn changed(&self) -> Result<Vec<String>> {
        let upper = fs::read_dir(self.below.share().join("upper"))?;
        upper
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }
}

/// A share in which `one` and `two` are one directory.
#[derive(Debug)]
pub struct Twice {
    // Dropped first: the folder has the mount points.
    _mounted: [Mounted; 2],
    folder: TempDir,
}

impl Twice {
    /// Mounts a new directory.
    pub fn mount() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let below = folder.path().join("below");
        fs::create_dir(&below)?;
        Self::mount_in(folder, &below)
    }

    /// Mounts this directory.
    pub fn mount_of(directory: &Path) -> Result<Self> {
        Self::mount_in(tempfile::tempdir()?, directory)
    }

    fn mount_in(folder: TempDir, directory: &Path) -> Result<Self> {
        let at = |name: &str| {
            let place = folder.path().join("share").join(name);
            fs::create_dir_all(&place)?;
            Mounted::bind(directory, place)
        };
        let _mounted = [at("one")?, at("two")?];
        Ok(Self { _mounted, folder })
    }

    /// The share.
    pub fn share(&self) -> PathBuf {
        self.folder.path().join("share")
    }
}
