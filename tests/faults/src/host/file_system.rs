// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The layer as the kernel sees it: a directory, passed on one operation at a time.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use rustix::fs::FallocateFlags;

use super::Operation;
use super::layer::Switches;
use super::nodes::Nodes;

/// The kernel caches nothing, so that every fault takes effect.
const NO_TIME: Duration = Duration::ZERO;

/// The file system.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) nodes: Nodes,
    pub(super) switches: Switches,
}

impl Faulty {
    fn does<T>(
        &self,
        operation: Operation,
        work: impl FnOnce(&Nodes) -> io::Result<T>,
    ) -> Result<T, Errno> {
        self.switches.meet(operation)?;
        work(&self.nodes).map_err(Errno::from)
    }
}

/// Replies with the result of the operation, or with its error.
macro_rules! answer {
    ($reply:ident, $done:expr, $value:pat => $good:expr) => {
        match $done {
            Ok($value) => $good,
            Err(errno) => $reply.error(errno),
        }
    };
}

impl Filesystem for Faulty {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        config
            .add_capabilities(InitFlags::FUSE_EXPORT_SUPPORT)
            .map_err(|_| io::ErrorKind::Unsupported.into())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.does(Operation::Lookup, |nodes| {
            nodes.find(nodes.child(parent, name)?)
        });
        answer!(reply, found, attr => reply.entry(&NO_TIME, &attr, Generation(0)));
    }

    fn getattr(&self, _: &Request, node: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        let found = self.does(Operation::Getattr, |nodes| nodes.attributes(node, handle));
        answer!(reply, found, attr => reply.attr(&NO_TIME, &attr));
    }

    fn setattr(
        &self,
        _: &Request,
        node: INodeNo,
        mode: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let changed = self.does(Operation::Setattr, |nodes| {
            let path = nodes.path(node)?;
            if let Some(mode) = mode {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777))?;
            }
            if let Some(size) = size {
                match handle {
                    Some(handle) => nodes.file(handle)?.set_len(size)?,
                    None => File::options().write(true).open(&path)?.set_len(size)?,
                }
            }
            nodes.attributes(node, handle)
        });
        answer!(reply, changed, attr => reply.attr(&NO_TIME, &attr));
    }

    fn open(&self, _: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let opened = self.does(Operation::Open, |nodes| {
            let path = nodes.path(node)?;
            // The page cache also reads from files that are opened for writing.
            let file = File::options().read(true).write(true).open(path)?;
            Ok(nodes.opened(file))
        });
        answer!(reply, opened, handle => reply.opened(handle, FopenFlags::empty()));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        let created = self.does(Operation::Create, |nodes| {
            let path = nodes.child(parent, name)?;
            let mut how = File::options();
            how.read(true).write(true).create(true).mode(mode & 0o7777);
            let file = how.open(&path)?;
            Ok((nodes.find(path)?, nodes.opened(file)))
        });
        answer!(reply, created, (attr, handle) => {
            reply.created(&NO_TIME, &attr, Generation(0), handle, FopenFlags::empty());
        });
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.does(Operation::Read, |nodes| {
            let mut bytes = vec![0; size as usize];
            let len = nodes.file(handle)?.read_at(&mut bytes, offset)?;
            bytes.truncate(len);
            Ok(bytes)
        });
        answer!(reply, read, bytes => reply.data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = self.does(Operation::Write, |nodes| {
            nodes.file(handle)?.write_all_at(data, offset)
        });
        answer!(reply, written, () => reply.written(data.len() as u32));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        answer!(reply, self.does(Operation::Flush, |_| Ok(())), () => reply.ok());
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        // A power failure is not simulated, so fsync has nothing to do.
        answer!(reply, self.does(Operation::Fsync, |_| Ok(())), () => reply.ok());
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.nodes.close(handle);
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let done = self.does(Operation::Fallocate, |nodes| {
            let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
            let file = nodes.file(handle)?;
            Ok(rustix::fs::fallocate(&*file, mode, offset, length)?)
        });
        answer!(reply, done, () => reply.ok());
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let done = self.does(Operation::Unlink, |nodes| {
            fs::remove_file(nodes.child(parent, name)?)
        });
        answer!(reply, done, () => reply.ok());
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 20, 1 << 19, 1 << 19, 1 << 20, 1 << 19, 4096, 255, 4096);
    }
}
