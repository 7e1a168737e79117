// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Detects whether a file was touched.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Stat};

/// A file's status. Every access except a read changes its change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    mode: u32,
    links: u64,
    owner: (u32, u32),
    size: i64,
    modified: (i64, u64),
    changed: (i64, u64),
    /// `None` if reads don't count.
    accessed: Option<(i64, u64)>,
}

impl Stamp {
    /// The status of `path`, of a symbolic link itself; `None` if there is nothing.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let stat = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Self::new(&stat, false))
    }

    /// The status with the time of the last read.
    pub(super) fn with_reading(path: &Path) -> Option<Self> {
        let stat = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(Self::new(&stat, true))
    }

    fn new(stat: &Stat, reading: bool) -> Self {
        Self {
            inode: stat.st_ino,
            mode: stat.st_mode,
            links: stat.st_nlink,
            owner: (stat.st_uid, stat.st_gid),
            size: stat.st_size,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
            accessed: reading.then_some((stat.st_atime, stat.st_atime_nsec)),
        }
    }
}
