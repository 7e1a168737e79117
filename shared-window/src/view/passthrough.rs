// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file system whose files are views.
//!
//! It answers the few requests that opening, measuring and closing a view cause, and refuses all
//! others. Data never passes through here: the kernel maps, reads and writes the file that backs an
//! open view.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BackingId, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenAccMode,
    OpenFlags, ReplyAttr, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen, ReplyXattr, Request,
    TimeOrNow,
};

use super::guard::Guarded;
use super::lost::{LostPages, Report};
use super::slots::{Slot, Slots};
use crate::units::{Access, LINUX_RANGE};

/// The size that every view reports: the largest file offset, rounded down to a [`LINUX_RANGE`].
pub(super) const REPORTED_SIZE: u64 = (i64::MAX as u64) & !(LINUX_RANGE - 1);

/// Names and attributes never change, so the kernel may cache them without limit.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The inode of slot 0. Its upper half, "DAXV", and [`REPORTED_SIZE`] are the mark by which the
/// library that is preloaded into QEMU recognizes a view (`qemu/guard/src/view.rs`).
pub(super) const FIRST_INODE: u64 = 0x4441_5856 << 32;

/// The ioctl by which a VMM reports lost pages; also in `qemu/guard/src/view.rs`.
const TELL: u32 = 0x4018_4401;

/// A depth of 2 lets a file on an overlayfs back a view; it is the kernel's own limit
/// (`FILESYSTEM_MAX_STACK_DEPTH`). Nothing can be stacked on the views themselves.
const STACK_DEPTH: u32 = 2;

/// The values that keep an open view backed.
#[derive(Debug)]
pub(super) struct Backing {
    id: BackingId,
    /// The file, if it is to be guarded and is not yet.
    pub(super) file: Option<OwnedFd>,
    /// The guard, if the file is guarded.
    pub(super) guarded: Option<Guarded>,
}

/// The slots, shared with the thread that prepares views.
#[derive(Debug, Clone)]
pub(super) struct SharedSlots(Arc<Mutex<Slots<Backing>>>);

impl SharedSlots {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Slots::new())))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Slots<Backing>> {
        // No step of Slots can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file system. One thread serves it, so a release never overtakes the open before it.
#[derive(Debug)]
pub(super) struct Views {
    slots: SharedSlots,
    /// Whether files are to be guarded, once their views are open.
    guards: bool,
    lost: LostPages,
    started: SystemTime,
}

impl Views {
    pub(super) fn new(slots: SharedSlots, guards: bool, lost: LostPages) -> Self {
        Self {
            slots,
            guards,
            lost,
            started: SystemTime::now(),
        }
    }

    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, size, perm) = match slot_of(inode) {
            None if inode == INodeNo::ROOT => (FileType::Directory, 0, 0o555),
            Some(slot) if self.slots.lock().is_known(slot) => {
                (FileType::RegularFile, REPORTED_SIZE, 0o600)
            }
            _ => return None,
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: 0,
            atime: self.started,
            mtime: self.started,
            ctime: self.started,
            crtime: self.started,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }

    fn open_slot(&self, slot: Slot, flags: OpenFlags, reply: ReplyOpen) {
        let access = match flags.acc_mode() {
            OpenAccMode::O_RDONLY => Access::ReadOnly,
            OpenAccMode::O_RDWR => Access::ReadWrite,
            OpenAccMode::O_WRONLY => return reply.error(Errno::EACCES),
        };
        let mut slots = self.slots.lock();
        let Some(prepared) = slots.take_prepared(slot, access) else {
            return reply.error(Errno::EACCES);
        };
        match reply.open_backing(&prepared.file) {
            Ok(id) => {
                let backing = Backing {
                    id,
                    file: self.guards.then_some(prepared.file),
                    guarded: None,
                };
                let backing = &slots.opened(slot, backing).id;
                // The last close does not wait for this server.
                let flags = FopenFlags::FOPEN_NOFLUSH;
                reply.opened_passthrough(FileHandle(slot.0), flags, backing);
            }
            Err(error) => {
                slots.not_opened(slot);
                reply.error(Errno::from(error));
            }
        }
    }
}

fn slot_of(inode: INodeNo) -> Option<Slot> {
    inode.0.checked_sub(FIRST_INODE).map(Slot)
}

fn inode_of(slot: Slot) -> INodeNo {
    INodeNo(slot.0 + FIRST_INODE)
}

impl Filesystem for Views {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        config
            .add_capabilities(InitFlags::FUSE_PASSTHROUGH)
            .and_then(|()| {
                config
                    .set_max_stack_depth(STACK_DEPTH)
                    .map_err(|_| InitFlags::FUSE_PASSTHROUGH)
            })
            .map(drop)
            .map_err(|_| io::ErrorKind::Unsupported.into())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let entry = (parent == INodeNo::ROOT)
            .then_some(name)
            .and_then(OsStr::to_str)
            .and_then(|name| name.parse().ok())
            .and_then(|slot| slot_attributes(self, Slot(slot)));
        match entry {
            Some(attributes) => reply.entry(&FOREVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&FOREVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        match slot_of(inode) {
            Some(slot) => self.open_slot(slot, flags, reply),
            None => reply.error(Errno::EACCES),
        }
    }

    fn release(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let backing = slot_of(inode).and_then(|slot| self.slots.lock().released(slot));
        // This also drops the guard of its file.
        drop(backing);
        reply.ok();
    }

    // Below: requests that would change a file or its size, and requests that the library would log
    // at length.

    fn setattr(
        &self,
        _: &Request,
        _: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        reply.error(Errno::EPERM);
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EPERM);
    }

    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::EACCES);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    /// A VMM's report of lost pages.
    fn ioctl(
        &self,
        _: &Request,
        inode: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        request: u32,
        argument: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        match (slot_of(inode), request, report(argument)) {
            (Some(slot), TELL, Some(report)) => {
                self.lost.report(slot.0, report);
                reply.ioctl(0, &[]);
            }
            _ => reply.error(Errno::ENOTTY),
        }
    }
}

/// The argument of [`TELL`]: offset, pages, and 1 if they were stored to.
fn report(argument: &[u8]) -> Option<Report> {
    let (words, []) = argument.as_chunks::<8>() else {
        return None;
    };
    match *words {
        [offset, pages, stored] => Some(Report {
            offset: u64::from_ne_bytes(offset),
            pages: u64::from_ne_bytes(pages),
            stored: u64::from_ne_bytes(stored) == 1,
        }),
        _ => None,
    }
}

fn slot_attributes(views: &Views, slot: Slot) -> Option<FileAttr> {
    views.attributes(inode_of(slot))
}
