// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The removals by name, each one's contract, and the content of the files after it.

use dax_measure::lab::Contract;
use guest_agent::removals::{RangeMode, Removal};

use super::files::{Files, MIDDLE, Page, RANGE};
use super::pin::Pin;
use crate::host::FileSystem;

/// A way to take a page's blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemovalKind {
    /// truncate(2) to 0.
    Truncate,
    /// truncate(2) to a length below the page.
    TruncateMiddle,
    /// open(2) with O_TRUNC.
    OpenTruncate,
    /// FALLOC_FL_PUNCH_HOLE.
    Punch,
    /// FALLOC_FL_ZERO_RANGE.
    Zero,
    /// FALLOC_FL_COLLAPSE_RANGE.
    Collapse,
    /// FALLOC_FL_INSERT_RANGE.
    Insert,
    /// fallocate(2) in mode 0.
    Fallocate,
    /// FICLONERANGE over the page.
    Clone,
    /// FICLONERANGE of the page over another file's.
    CloneFrom,
    /// FIDEDUPERANGE of the page.
    Dedupe,
    /// XFS_IOC_EXCHANGE_RANGE of the page and another file's.
    Exchange,
    /// copy_file_range(2) over the page.
    CopyOver,
    /// unlink(2), then eviction as far as the pin permits.
    Unlink,
    /// rename(2) of another file over it.
    RenameOver,
    /// /proc/sys/vm/drop_caches.
    DropCaches,
    /// FS_XFLAG_DAX off.
    DaxFlag,
    /// umount(2).
    Umount,
    /// The window is full, and read(2) takes a range of the same file.
    ReclaimInline,
    /// The window is full, and Linux's worker frees a range for another file.
    ReclaimWorker,
}

impl RemovalKind {
    /// All removals.
    pub const ALL: [Self; 20] = [
        Self::Truncate,
        Self::TruncateMiddle,
        Self::OpenTruncate,
        Self::Punch,
        Self::Zero,
        Self::Collapse,
        Self::Insert,
        Self::Fallocate,
        Self::Clone,
        Self::CloneFrom,
        Self::Dedupe,
        Self::Exchange,
        Self::CopyOver,
        Self::Unlink,
        Self::RenameOver,
        Self::DropCaches,
        Self::DaxFlag,
        Self::Umount,
        Self::ReclaimInline,
        Self::ReclaimWorker,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncate => "truncate",
            Self::TruncateMiddle => "truncate-middle",
            Self::OpenTruncate => "o-trunc",
            Self::Punch => "punch",
            Self::Zero => "zero-range",
            Self::Collapse => "collapse",
            Self::Insert => "insert",
            Self::Fallocate => "fallocate",
            Self::Clone => "clone",
            Self::CloneFrom => "clone-from",
            Self::Dedupe => "dedupe",
            Self::Exchange => "exchange",
            Self::CopyOver => "copy-over",
            Self::Unlink => "unlink",
            Self::RenameOver => "rename-over",
            Self::DropCaches => "drop-caches",
            Self::DaxFlag => "dax-flag",
            Self::Umount => "umount",
            Self::ReclaimInline => "reclaim-inline",
            Self::ReclaimWorker => "reclaim-worker",
        }
    }

    /// A sentence about the removal.
    pub fn about(self) -> &'static str {
        match self {
            Self::Truncate => "truncate(2) to length 0",
            Self::TruncateMiddle => "truncate(2) to a length just below the page",
            Self::OpenTruncate => "open(2) with O_TRUNC",
            Self::Punch => "fallocate(2) makes a hole of the page and its neighbours",
            Self::Zero => "fallocate(2) makes zeros of the page and its neighbours",
            Self::Collapse => "fallocate(2) takes the page and its neighbours out of the file",
            Self::Insert => "fallocate(2) moves the page by a hole before it",
            Self::Fallocate => "fallocate(2) in mode 0 reserves what is there already",
            Self::Clone => "FICLONERANGE gives the page another file's blocks",
            Self::CloneFrom => "FICLONERANGE gives another file the page's blocks",
            Self::Dedupe => "FIDEDUPERANGE gives the page another file's equal blocks",
            Self::Exchange => {
                "XFS_IOC_EXCHANGE_RANGE gives the page's blocks to another file, for its"
            }
            Self::CopyOver => "copy_file_range(2) copies another file over the page",
            Self::Unlink => "unlink(2); the mapping keeps the inode",
            Self::RenameOver => "rename(2) of another file over it; the mapping keeps the inode",
            Self::DropCaches => "drop_caches; the mapping keeps the inode",
            Self::DaxFlag => "FS_IOC_FSSETXATTR takes the DAX flag away",
            Self::Umount => "umount(2) of the file system",
            Self::ReclaimInline => {
                "read(2) of the same file takes the page's range of a full window"
            }
            Self::ReclaimWorker => {
                "Linux's worker frees the page's range of a full window for another file"
            }
        }
    }

    /// Whether the lab runs this removal on this file system.
    pub fn is_on(self, fs: FileSystem) -> bool {
        match self {
            _ if self.reclaims() => fs == FileSystem::Fuse,
            Self::CloneFrom | Self::Exchange => fs == FileSystem::Xfs,
            _ => true,
        }
    }

    /// Whether this removal takes a range of the window, so that any other range would do.
    pub(super) fn reclaims(self) -> bool {
        matches!(self, Self::ReclaimInline | Self::ReclaimWorker)
    }

    /// Whether this removal shows something under a pin of this kind. A page that the disk writes
    /// to stops being equal to any other page.
    pub fn goes_with(self, pin: Pin) -> bool {
        self != Self::Dedupe || !pin.writes_page()
    }

    /// What the removal owes to a page in use.
    pub fn contract(self, fs: FileSystem) -> Contract {
        use Contract::{MayProceed, MustRefuse, MustWait};
        use FileSystem::{Ext4, Fuse, Xfs};
        match (self, fs) {
            (Self::Truncate | Self::TruncateMiddle | Self::OpenTruncate, _) => MustWait,
            (Self::Punch | Self::Zero, _) => MustWait,
            (Self::Collapse | Self::Insert, Ext4 | Xfs) => MustWait,
            (Self::Collapse | Self::Insert, Fuse) => MustRefuse,
            (Self::Fallocate, Fuse | Xfs) => MustWait,
            (Self::Fallocate, Ext4) => MayProceed,
            (Self::Clone | Self::Dedupe, Xfs) => MustWait,
            (Self::Clone | Self::Dedupe, Fuse | Ext4) => MustRefuse,
            (Self::CloneFrom | Self::Exchange, Xfs) => MustWait,
            (Self::CloneFrom | Self::Exchange, Fuse | Ext4) => MustRefuse,
            (Self::CopyOver, Xfs) => MustWait,
            (Self::CopyOver, Fuse | Ext4) => MayProceed,
            (Self::Unlink | Self::RenameOver | Self::DropCaches, _) => MayProceed,
            (Self::DaxFlag, Ext4 | Xfs) => MayProceed,
            (Self::DaxFlag, Fuse) => MustRefuse,
            (Self::Umount, _) => MustRefuse,
            (Self::ReclaimInline | Self::ReclaimWorker, _) => MustWait,
        }
    }

    /// The errors that a refusal may have.
    pub fn errors(self, fs: FileSystem) -> &'static [i32] {
        match (self, fs) {
            (Self::Umount, _) => &[libc::EBUSY],
            (Self::DaxFlag, FileSystem::Fuse) => &[libc::ENOTTY],
            _ if self.contract(fs) == Contract::MustRefuse => &[libc::EOPNOTSUPP],
            _ => &[],
        }
    }

    /// Where the contract comes from.
    pub fn source(self, fs: FileSystem) -> &'static str {
        match self.contract(fs) {
            Contract::MustWait => match fs {
                FileSystem::Fuse => "fs/fuse/dax.c: fuse_dax_break_layouts() before the range goes",
                FileSystem::Ext4 => "fs/ext4/inode.c: ext4_break_layouts() before blocks go",
                FileSystem::Xfs => "fs/xfs/xfs_inode.c: xfs_break_dax_layouts() before blocks go",
            },
            Contract::MayProceed => {
                "no block is freed: nothing in the kernel waits, nothing has to"
            }
            Contract::MustRefuse => "this file system has no such operation, or the file is in use",
            Contract::KnownLimit => "a limit of QEMU",
        }
    }

    /// The op that makes the removal.
    pub(super) fn op(self, files: &Files, page: &Page) -> Removal {
        let path = files.file.clone();
        let from = files.other.clone();
        let (offset, len) = (page.offset - page.offset % RANGE, RANGE / 2);
        let fallocate = |mode| Removal::Fallocate {
            path: path.clone(),
            mode,
            offset,
            len,
        };
        match self {
            Self::Truncate => Removal::Truncate { path, len: 0 },
            Self::TruncateMiddle => Removal::Truncate { path, len: MIDDLE },
            Self::OpenTruncate => Removal::OpenTruncate {
                path,
                create: false,
            },
            Self::Punch => fallocate(RangeMode::Punch),
            Self::Zero => fallocate(RangeMode::Zero),
            Self::Collapse => fallocate(RangeMode::Collapse),
            Self::Insert => fallocate(RangeMode::Insert),
            Self::Fallocate => fallocate(RangeMode::Reserve),
            Self::Clone => Removal::Clone {
                path,
                from,
                offset,
                len,
            },
            Self::CloneFrom => Removal::Clone {
                path: from,
                from: path,
                offset,
                len,
            },
            Self::Exchange => Removal::Exchange {
                path,
                from,
                offset,
                len,
            },
            Self::Dedupe => Removal::Dedupe {
                path,
                from: files.twin.clone(),
                offset,
                len,
            },
            Self::CopyOver => Removal::CopyOver {
                path,
                from,
                offset,
                len: len as usize,
            },
            Self::Unlink => Removal::Unlink { path },
            Self::RenameOver => Removal::RenameOver { path, from },
            Self::DropCaches => Removal::DropCaches,
            Self::DaxFlag => Removal::SetDax { path, on: false },
            Self::Umount => Removal::Umount {
                target: files.fs.mount_point().to_owned(),
            },
            Self::ReclaimInline => Removal::Read {
                path,
                offset: files.last_range,
                len: 4096,
            },
            Self::ReclaimWorker => Removal::Touch {
                path: from,
                offset: files.last_range,
            },
        }
    }
}
