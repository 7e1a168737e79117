// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The file system of one file, as FUSE asks for it.
//!
//! The file is opened for direct I/O, so that each read and each write of the daemon comes here,
//! with its own offset and length.

use std::ffi::OsStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{
    AccessFlags, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyWrite, ReplyXattr, TimeOrNow, WriteFlags,
};

use crate::host::delayed::{Delayed, HELD_FROM, Request, RequestKind, SIZE};

/// The file's name.
pub(super) const FILE_NAME: &str = "file";
const FILE: INodeNo = INodeNo(2);
/// Attributes and names never change.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

/// What is needed to answer a request.
#[derive(Debug)]
pub(super) enum Reply {
    Read(ReplyData),
    Write(ReplyWrite),
}

impl Reply {
    pub(super) fn send(self, request: &Request) {
        match self {
            Self::Read(reply) => reply.data(&request.content()),
            Self::Write(reply) => reply.written(request.len),
        }
    }
}

/// Requests without an answer, and whether more may be delayed.
#[derive(Debug, Default)]
pub(super) struct Replies {
    pub(super) delayed: Delayed<Reply>,
    no_more: AtomicBool,
}

impl Replies {
    fn take(&self, request: Request, reply: Reply) {
        if request.offset < HELD_FROM {
            return reply.send(&request);
        }
        self.delayed.hold(request, reply);
        // Read after the request was added: a caller of `delay_no_more` may have missed this
        // request.
        if self.no_more.load(Ordering::SeqCst) {
            self.release_all();
        }
    }

    pub(super) fn release_all(&self) {
        for (request, reply) in self.delayed.take_all() {
            reply.send(&request);
        }
    }

    pub(super) fn delay_no_more(&self) {
        self.no_more.store(true, Ordering::SeqCst);
        self.release_all();
    }
}

/// The file system.
#[derive(Debug)]
pub(super) struct HeldFile {
    replies: Arc<Replies>,
    started: SystemTime,
}

impl HeldFile {
    pub(super) fn new(replies: Arc<Replies>) -> Self {
        Self {
            replies,
            started: SystemTime::now(),
        }
    }

    fn attributes(&self, inode: INodeNo) -> Option<FileAttr> {
        let (kind, size, perm) = match inode {
            INodeNo::ROOT => (FileType::Directory, 0, 0o755),
            FILE => (FileType::RegularFile, SIZE, 0o644),
            _ => return None,
        };
        Some(FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
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

    fn reply_attributes(&self, inode: INodeNo, reply: ReplyAttr) {
        match self.attributes(inode) {
            Some(attributes) => reply.attr(&FOREVER, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }
}

impl Filesystem for HeldFile {
    fn lookup(&self, _: &fuser::Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let known = parent == INodeNo::ROOT && name == FILE_NAME;
        match self.attributes(FILE).filter(|_| known) {
            Some(attributes) => reply.entry(&FOREVER, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &fuser::Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        self.reply_attributes(inode, reply);
    }

    /// Writers set times. The change is ignored.
    fn setattr(
        &self,
        _: &fuser::Request,
        inode: INodeNo,
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
        self.reply_attributes(inode, reply);
    }

    fn open(&self, _: &fuser::Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _: &fuser::Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        len: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let request = Request {
            kind: RequestKind::Read,
            offset,
            // There are no bytes behind the end.
            len: u64::from(len).min(SIZE.saturating_sub(offset)) as u32,
            data: Vec::new(),
        };
        self.replies.take(request, Reply::Read(reply));
    }

    fn write(
        &self,
        _: &fuser::Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let request = Request {
            kind: RequestKind::Write,
            offset,
            len: data.len() as u32,
            data: data.to_vec(),
        };
        self.replies.take(request, Reply::Write(reply));
    }

    // The methods below exist because the library's defaults would log at length.

    fn access(&self, _: &fuser::Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.ok();
    }

    fn flush(
        &self,
        _: &fuser::Request,
        _: INodeNo,
        _: FileHandle,
        _: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn getxattr(&self, _: &fuser::Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }
}
