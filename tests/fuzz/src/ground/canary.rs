// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files beside the share.
//!
//! Their file system records every read (strictatime), so a file's status is enough: a change of
//! content, names, permissions or attributes, a read and a listing each change one of the times.
//! The times of tmpfs have the resolution of the kernel's clock tick. The files' times are far in
//! the past, so any access makes a difference.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Stat, Timespec, Timestamps};

use crate::fault::{self, Fault};

/// The files, directories first.
const FILES: [&str; 4] = ["", "dir", "secret", "dir/file"];

/// See the module's documentation.
pub struct Canary {
    path: PathBuf,
    stamps: Vec<Option<Stamp>>,
}

impl Canary {
    pub(super) fn create(path: &Path) -> Self {
        fs::create_dir(path).expect("a directory");
        fs::create_dir(path.join("dir")).expect("a directory");
        for name in ["secret", "dir/file"] {
            fs::write(path.join(name), "nobody's business").expect("a file");
        }
        let long_ago = Timespec {
            tv_sec: 1_000_000_000,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: long_ago,
            last_modification: long_ago,
        };
        for name in FILES.iter().rev() {
            let path = path.join(name);
            rustix::fs::utimensat(CWD, &path, &times, AtFlags::empty()).expect("times");
        }
        let mut canary = Self {
            path: path.to_owned(),
            stamps: Vec::new(),
        };
        canary.stamps = canary.look();
        canary
    }

    fn look(&self) -> Vec<Option<Stamp>> {
        FILES
            .iter()
            .map(|name| Stamp::with_reading(&self.path.join(name)))
            .collect()
    }

    /// # Panics
    /// If a file was touched.
    pub(super) fn check(&mut self) {
        self.misbehave();
        let now = self.look();
        if now != self.stamps {
            let before = std::mem::replace(&mut self.stamps, now);
            panic!(
                "files outside the share were touched: {before:?} became {:?}",
                self.stamps
            );
        }
    }

    /// Touches a file, as an input that leaves the share would.
    fn misbehave(&self) {
        if fault::strikes(Fault::ReadOutside) {
            fs::read(self.path.join("secret")).expect("the file");
        }
        if fault::strikes(Fault::WriteOutside) {
            fs::write(self.path.join("dir/file"), "").expect("the file");
        }
        if fault::strikes(Fault::CreateOutside) {
            fs::write(self.path.join("dir/new"), "").expect("a new file");
        }
    }
}

/// A file's status, which shows whether the file was touched. Every access except a read changes
/// its change time.
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
