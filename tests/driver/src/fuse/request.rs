// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests.

use fuse_backend_rs::abi::fuse_abi::{
    BatchForgetIn, FallocateIn, FileLock, FlushIn, ForgetIn, ForgetOne, FsyncIn, GetattrIn,
    GetxattrIn, InitIn, InitIn2, LkIn, Opcode, OpenIn, ReadIn, ReleaseIn, SetattrIn, WriteIn,
};
use fuse_backend_rs::abi::virtio_fs::{RemovemappingIn, SetupmappingFlags, SetupmappingIn};
use vm_memory_017::ByteValued;

use super::InitOptions;
use super::reply::Shape;
use crate::memory::GuestSpan;
use crate::units::{FileOffset, Handle, NodeId, Unique, WindowOffset};

/// FUSE_FSYNC_FDATASYNC.
const FDATASYNC: u32 = 1;
/// FUSE_LK_FLOCK.
const LK_FLOCK: u32 = 1;
/// FUSE_GETATTR_FH.
const GETATTR_FH: u32 = 1;
/// Bytes of the longest arguments, which are SETATTR's.
const ARGUMENTS: usize = 88;

/// A request: the node and the operation.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The node that the header names.
    pub node: NodeId,
    /// The operation.
    pub body: Body<'a>,
}

impl<'a> Request<'a> {
    /// A request.
    pub fn new(node: NodeId, body: Body<'a>) -> Self {
        Self { node, body }
    }
}

/// The operation: its opcode and arguments, names without their NUL, and where bulk data goes to and
/// comes from without a copy. [`Client`](super::Client) makes the operations that have no function
/// here.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    pub(super) opcode: Opcode,
    /// What the header names, which may be no opcode.
    pub(super) number: u32,
    /// The reply that the operation gets.
    pub(super) shape: Shape,
    arguments: [u8; ARGUMENTS],
    len: usize,
    pub(super) tail: Tail<'a>,
    /// Bulk data behind the other bytes.
    pub(super) send: GuestSpan,
    /// Room for bulk data behind the reply's header.
    pub(super) receive: GuestSpan,
}

/// What follows the arguments.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tail<'a> {
    None,
    Bytes(&'a [u8]),
    Name(&'a [u8]),
    Names(&'a [u8], &'a [u8]),
    /// A name, and bytes without a NUL.
    Value(&'a [u8], &'a [u8]),
    Forgotten(&'a [ForgetOne]),
    /// Each with its length in bytes.
    Ranges(&'a [(WindowOffset, u64)]),
}

/// Each part is set at most once.
impl<'a> Body<'a> {
    /// An operation without arguments.
    pub(super) fn of(opcode: Opcode, shape: Shape) -> Self {
        Self {
            opcode,
            number: opcode as u32,
            shape,
            arguments: [0; ARGUMENTS],
            len: 0,
            tail: Tail::None,
            send: GuestSpan::default(),
            receive: GuestSpan::default(),
        }
    }

    /// Appends a structure of linux/fuse.h to the arguments.
    pub(super) fn with(mut self, arguments: &impl ByteValued) -> Self {
        let bytes = arguments.as_slice();
        self.arguments[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
        self
    }

    /// The arguments so far.
    pub(super) fn arguments(&self) -> &[u8] {
        &self.arguments[..self.len]
    }

    pub(super) fn name(self, name: &'a str) -> Self {
        let tail = Tail::Name(name.as_bytes());
        Self { tail, ..self }
    }

    pub(super) fn names(self, first: &'a str, second: &'a str) -> Self {
        let tail = Tail::Names(first.as_bytes(), second.as_bytes());
        Self { tail, ..self }
    }

    pub(super) fn value(self, name: &'a str, value: &'a [u8]) -> Self {
        let tail = Tail::Value(name.as_bytes(), value);
        Self { tail, ..self }
    }

    pub(super) fn receiving(self, receive: GuestSpan) -> Self {
        Self { receive, ..self }
    }
}

/// Operations that are also made without a [`Client`](super::Client).
impl<'a> Body<'a> {
    /// INIT.
    pub fn init(options: &InitOptions) -> Self {
        let (major, minor) = options.version;
        let flags = options.flags.bits();
        let arguments = InitIn {
            major,
            minor,
            max_readahead: options.max_readahead,
            flags: flags as u32,
        };
        let more = InitIn2 {
            flags2: (flags >> 32) as u32,
            ..InitIn2::default()
        };
        let body = Self::of(Opcode::Init, Shape::Init);
        body.with(&arguments).with(&more)
    }

    /// DESTROY.
    pub fn destroy() -> Self {
        Self::of(Opcode::Destroy, Shape::Optional)
    }

    /// STATFS.
    pub fn statfs() -> Self {
        Self::of(Opcode::Statfs, Shape::Statfs)
    }

    /// LOOKUP.
    pub fn lookup(name: &'a str) -> Self {
        Self::of(Opcode::Lookup, Shape::Entry).name(name)
    }

    /// FORGET.
    pub fn forget(lookups: u64) -> Self {
        let arguments = ForgetIn { nlookup: lookups };
        Self::of(Opcode::Forget, Shape::None).with(&arguments)
    }

    /// BATCH_FORGET.
    pub fn batch_forget(nodes: &'a [ForgetOne]) -> Self {
        let (count, dummy) = (nodes.len() as u32, 0);
        let body = Self::of(Opcode::BatchForget, Shape::None).with(&BatchForgetIn { count, dummy });
        let tail = Tail::Forgotten(nodes);
        Self { tail, ..body }
    }

    /// GETATTR, with the handle of an open file if there is one.
    pub fn getattr(handle: Option<Handle>) -> Self {
        let arguments = GetattrIn {
            flags: if handle.is_some() { GETATTR_FH } else { 0 },
            dummy: 0,
            fh: handle.map_or(0, |handle| handle.0),
        };
        Self::of(Opcode::Getattr, Shape::Attr).with(&arguments)
    }

    /// SETATTR.
    pub fn setattr(arguments: SetattrIn) -> Self {
        Self::of(Opcode::Setattr, Shape::Attr).with(&arguments)
    }

    /// OPEN; `flags` are O_….
    pub fn open(flags: i32) -> Self {
        Self::of(Opcode::Open, Shape::Opened).with(&open_arguments(flags))
    }

    /// RELEASE.
    pub fn release(handle: Handle) -> Self {
        Self::of(Opcode::Release, Shape::Empty).with(&release_arguments(handle))
    }

    /// FLUSH, as close(2) of a descriptor by `owner` sends it.
    pub fn flush(handle: Handle, owner: u64) -> Self {
        let args = FlushIn {
            fh: handle.0,
            lock_owner: owner,
            ..FlushIn::default()
        };
        Self::of(Opcode::Flush, Shape::Empty).with(&args)
    }

    /// GETLK.
    pub fn getlk(handle: Handle, owner: u64, lk: FileLock) -> Self {
        Self::lock(Opcode::Getlk, Shape::Lock, handle, owner, lk, 0)
    }

    /// SETLK, or SETLKW if it `waits`, of a range of bytes.
    pub fn setlk(handle: Handle, owner: u64, lk: FileLock, waits: bool) -> Self {
        Self::lock(set(waits), Shape::Empty, handle, owner, lk, 0)
    }

    /// SETLK, or SETLKW if it `waits`, for flock(2); `kind` is F_RDLCK, F_WRLCK or F_UNLCK.
    pub fn flock(handle: Handle, owner: u64, kind: i32, waits: bool) -> Self {
        let lk = FileLock {
            type_: kind as u32,
            ..FileLock::default()
        };
        Self::lock(set(waits), Shape::Empty, handle, owner, lk, LK_FLOCK)
    }

    fn lock(
        opcode: Opcode,
        shape: Shape,
        handle: Handle,
        owner: u64,
        lk: FileLock,
        lk_flags: u32,
    ) -> Self {
        let arguments = LkIn {
            fh: handle.0,
            owner,
            lk,
            lk_flags,
            padding: 0,
        };
        Self::of(opcode, shape).with(&arguments)
    }

    /// INTERRUPT of another request.
    pub fn interrupt(unique: Unique) -> Self {
        // fuse_interrupt_in is the number alone.
        Self::of(Opcode::Interrupt, Shape::None).with(&unique.0)
    }

    /// FSYNC; of the data only, if `data` is set.
    pub fn fsync(handle: Handle, data: bool) -> Self {
        let args = FsyncIn {
            fh: handle.0,
            fsync_flags: if data { FDATASYNC } else { 0 },
            padding: 0,
        };
        Self::of(Opcode::Fsync, Shape::Empty).with(&args)
    }

    /// FALLOCATE; `mode` is FALLOC_FL_….
    pub fn fallocate(handle: Handle, mode: i32, offset: FileOffset, length: u64) -> Self {
        let args = FallocateIn {
            fh: handle.0,
            offset: offset.0,
            length,
            mode: mode as u32,
            padding: 0,
        };
        Self::of(Opcode::Fallocate, Shape::Empty).with(&args)
    }

    /// READ of as much as `into` has room for.
    pub fn read(handle: Handle, offset: FileOffset, into: GuestSpan) -> Self {
        Self::reading(Opcode::Read, handle, offset, into)
    }

    /// READDIR of the entries that `into` has room for.
    pub fn readdir(handle: Handle, offset: FileOffset, into: GuestSpan) -> Self {
        Self::reading(Opcode::Readdir, handle, offset, into)
    }

    /// READDIRPLUS of the entries that `into` has room for.
    pub fn readdirplus(handle: Handle, offset: FileOffset, into: GuestSpan) -> Self {
        Self::reading(Opcode::Readdirplus, handle, offset, into)
    }

    fn reading(opcode: Opcode, handle: Handle, offset: FileOffset, into: GuestSpan) -> Self {
        let arguments = ReadIn {
            fh: handle.0,
            offset: offset.0,
            size: into.len,
            ..ReadIn::default()
        };
        Self::of(opcode, Shape::Data)
            .with(&arguments)
            .receiving(into)
    }

    /// READLINK.
    pub fn readlink(into: GuestSpan) -> Self {
        Self::of(Opcode::Readlink, Shape::Data).receiving(into)
    }

    /// WRITE of all of `from`.
    pub fn write(handle: Handle, offset: FileOffset, from: GuestSpan) -> Self {
        let arguments = WriteIn {
            fh: handle.0,
            offset: offset.0,
            size: from.len,
            ..WriteIn::default()
        };
        let body = Self::of(Opcode::Write, Shape::Written).with(&arguments);
        Self { send: from, ..body }
    }

    /// GETXATTR. Without room the reply is the value's size.
    pub fn getxattr(name: &'a str, into: GuestSpan) -> Self {
        Self::attributes(Opcode::Getxattr, into).name(name)
    }

    /// LISTXATTR. Without room the reply is the list's size.
    pub fn listxattr(into: GuestSpan) -> Self {
        Self::attributes(Opcode::Listxattr, into)
    }

    fn attributes(opcode: Opcode, into: GuestSpan) -> Self {
        let (size, padding) = (into.len, 0);
        let shape = if size == 0 { Shape::Size } else { Shape::Data };
        let body = Self::of(opcode, shape).with(&GetxattrIn { size, padding });
        body.receiving(into)
    }

    /// SETUPMAPPING as Linux sends it, without a handle.
    pub fn setup_mapping(from: FileOffset, len: u64, at: WindowOffset, write: bool) -> Self {
        Self::setup_mapping_by(Handle::NONE, from, len, at, write)
    }

    /// SETUPMAPPING with the handle of an open file.
    pub fn setup_mapping_by(
        handle: Handle,
        from: FileOffset,
        len: u64,
        at: WindowOffset,
        write: bool,
    ) -> Self {
        let mut flags = SetupmappingFlags::READ;
        if write {
            flags |= SetupmappingFlags::WRITE;
        }
        let arguments = SetupmappingIn {
            fh: handle.0,
            foffset: from.0,
            len,
            flags: flags.bits(),
            moffset: at.0,
        };
        Self::of(Opcode::SetupMapping, Shape::Empty).with(&arguments)
    }

    /// REMOVEMAPPING of these ranges, each an offset and a length.
    pub fn remove_mapping(ranges: &'a [(WindowOffset, u64)]) -> Self {
        let count = ranges.len() as u32;
        let body = Self::of(Opcode::RemoveMapping, Shape::Empty).with(&RemovemappingIn { count });
        let tail = Tail::Ranges(ranges);
        Self { tail, ..body }
    }

    /// Any operation, also one unknown to FUSE. The whole payload of the reply goes to `into`.
    pub fn raw(opcode: u32, body: &'a [u8], into: GuestSpan) -> Self {
        Self {
            number: opcode,
            tail: Tail::Bytes(body),
            ..Self::of(Opcode::MaxOpcode, Shape::Data).receiving(into)
        }
    }
}

fn set(waits: bool) -> Opcode {
    match waits {
        true => Opcode::Setlkw,
        false => Opcode::Setlk,
    }
}

pub(super) fn open_arguments(flags: i32) -> OpenIn {
    OpenIn {
        flags: flags as u32,
        fuse_flags: 0,
    }
}

pub(super) fn release_arguments(handle: Handle) -> ReleaseIn {
    ReleaseIn {
        fh: handle.0,
        ..ReleaseIn::default()
    }
}
