// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file systems that a guest has.

use std::fmt;

/// A kind of file system with DAX.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileSystem {
    /// virtio-fs with a window.
    Fuse,
    /// ext4 on virtio-pmem.
    Ext4,
    /// xfs on virtio-pmem.
    Xfs,
}

impl FileSystem {
    /// All file systems.
    pub const ALL: [Self; 3] = [Self::Fuse, Self::Ext4, Self::Xfs];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fuse => "fuse",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Its name in the mount table.
    pub(super) fn fstype(self) -> &'static str {
        match self {
            Self::Fuse => "virtiofs",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// The mount point in the guest.
    pub fn mount_point(self) -> &'static str {
        match self {
            Self::Fuse => "/mnt/fuse",
            Self::Ext4 => "/mnt/ext4",
            Self::Xfs => "/mnt/xfs",
        }
    }

    /// The source that the guest mounts, and the options.
    pub(super) fn source(self) -> (&'static str, &'static str) {
        match self {
            // The daemon decides which files use DAX: all but the file that delays its answers.
            Self::Fuse => ("fuse", "dax=inode"),
            Self::Ext4 => ("/dev/pmem0", "dax=always"),
            Self::Xfs => ("/dev/pmem1", "dax=always"),
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name is not a file system's.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no file system of the lab: use fuse, ext4 or xfs")]
pub struct FileSystemError(String);

impl std::str::FromStr for FileSystem {
    type Err = FileSystemError;

    fn from_str(text: &str) -> Result<Self, FileSystemError> {
        let found = Self::ALL.into_iter().find(|fs| fs.name() == text);
        found.ok_or_else(|| FileSystemError(text.to_owned()))
    }
}
