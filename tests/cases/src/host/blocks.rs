// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A folder of the share whose files have another block size than the guest's pages: tmpfs with
//! huge pages reports 2 MiB in st_blksize.

use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

/// The folder's name in the share.
pub const BIG_BLOCKS: &str = "big-blocks";

/// The reason why this folder may be missing.
pub const NO_BIG_BLOCKS: &str = "the lab may not mount tmpfs with huge pages on this host";

/// The folder; it is unmounted on drop.
pub(super) struct BigBlocks(PathBuf);

impl BigBlocks {
    /// Makes the folder in a share. Only a daemon that starts later sees it.
    ///
    /// # Errors
    ///
    /// If the lab may not mount, or the kernel has no huge pages.
    pub(super) fn make(share: &Path) -> io::Result<Self> {
        let folder = share.join(BIG_BLOCKS);
        fs::create_dir(&folder)?;
        let options = c"huge=always,size=16m";
        mount("daxlab", &folder, "tmpfs", MountFlags::empty(), options)?;
        Ok(Self(folder))
    }
}

impl Drop for BigBlocks {
    fn drop(&mut self) {
        if let Err(error) = unmount(&self.0, UnmountFlags::DETACH) {
            log::warn!("can't unmount {}: {error}", self.0.display());
        }
    }
}
