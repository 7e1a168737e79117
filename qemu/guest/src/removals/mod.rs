// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Operations that remove the blocks of a DAX page, or the page itself.

mod inodes;
mod ranges;

use serde::{Deserialize, Serialize};

pub use ranges::RangeMode;

use crate::worker::{Fault, HandleTable, Op};

/// One removal, by system calls of the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Removal {
    /// truncate(2).
    Truncate { path: String, len: u64 },
    /// open(2) with O_TRUNC.
    OpenTruncate {
        path: String,
        /// With O_CREAT too, which takes another path in FUSE.
        create: bool,
    },
    /// fallocate(2) in one of its modes.
    Fallocate {
        path: String,
        /// What to do with the range.
        mode: RangeMode,
        offset: u64,
        len: u64,
    },
    /// FICLONERANGE: the range's blocks become those of another file.
    Clone {
        path: String,
        from: String,
        /// Where the range begins, in both.
        offset: u64,
        len: u64,
    },
    /// FIDEDUPERANGE of a range that is the same in another file.
    Dedupe {
        path: String,
        from: String,
        /// Where the range begins, in both.
        offset: u64,
        len: u64,
    },
    /// XFS_IOC_EXCHANGE_RANGE: the range's blocks and those of another file change places.
    Exchange {
        path: String,
        from: String,
        /// Where the range begins, in both.
        offset: u64,
        len: u64,
    },
    /// copy_file_range(2) onto the range.
    CopyOver {
        path: String,
        from: String,
        /// Where the range begins, in both.
        offset: u64,
        len: usize,
    },
    /// unlink(2), and with the last reference eviction.
    Unlink { path: String },
    /// rename(2) of another file over it.
    RenameOver { path: String, from: String },
    /// Drops clean pages and inodes from memory.
    DropCaches,
    /// FS_XFLAG_DAX on or off.
    SetDax { path: String, on: bool },
    /// umount(2).
    Umount { target: String },
    /// pread(2) of another range, which has to take this one's place in a full window.
    Read {
        path: String,
        offset: u64,
        len: usize,
    },
    /// A load through a new mapping, which has to get a range of a full window.
    Touch { path: String, offset: u64 },
    /// statx(2), by which Linux asks the server: it takes a size and a time that were changed there. A
    /// plain stat(2) does so where the attributes at hand are too old.
    Stat { path: String },
}

impl Op for Removal {
    const NAME: &'static str = "removal";
    type Yield = ();

    fn run(self, handles: &mut HandleTable) -> Result<(), Fault> {
        match self {
            Self::Truncate { path, len } => inodes::truncate(&path, len),
            Self::OpenTruncate { path, create } => inodes::open_truncate(&path, create),
            Self::Stat { path } => inodes::stat(&path),
            Self::Fallocate {
                path,
                mode,
                offset,
                len,
            } => ranges::fallocate(handles, &path, mode, offset, len),
            Self::Clone {
                path,
                from,
                offset,
                len,
            } => ranges::clone(handles, &path, &from, offset, len),
            Self::Dedupe {
                path,
                from,
                offset,
                len,
            } => ranges::dedupe(handles, &path, &from, offset, len),
            Self::Exchange {
                path,
                from,
                offset,
                len,
            } => ranges::exchange(handles, &path, &from, offset, len),
            Self::CopyOver {
                path,
                from,
                offset,
                len,
            } => ranges::copy_over(handles, &path, &from, offset, len),
            Self::Read { path, offset, len } => ranges::read(handles, &path, offset, len),
            Self::Touch { path, offset } => ranges::touch(handles, &path, offset),
            Self::Unlink { path } => inodes::unlink(&path),
            Self::RenameOver { path, from } => inodes::rename_over(&path, &from),
            Self::DropCaches => inodes::drop_caches(),
            Self::SetDax { path, on } => inodes::set_dax(handles, &path, on),
            Self::Umount { target } => inodes::umount(&target),
        }
    }
}
