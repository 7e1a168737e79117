// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Encodes requests into a slot of guest memory.

use fuse_backend_rs::abi::fuse_abi::{
    BatchForgetIn, ForgetIn, GetxattrIn, InHeader, InterruptIn, LinkIn, RenameIn, SetxattrIn,
};
use fuse_backend_rs::abi::virtio_fs::RemovemappingIn;
use vm_memory::VolatileSlice;
use vm_memory_017::ByteValued;

use super::reply::Shape;
use super::{Body, FuseError};
use crate::memory::GuestSpan;

/// Appends structures to a slot.
pub(super) struct Encoder<'a> {
    room: VolatileSlice<'a>,
    len: usize,
}

/// The bulk data that is sent beside the slot, and the room for bulk data of the reply.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Transfers {
    /// Bulk data behind the slot's bytes.
    pub(super) send: GuestSpan,
    /// Room for bulk data behind the reply's header.
    pub(super) receive: GuestSpan,
    pub(super) shape: Shape,
}

impl<'a> Encoder<'a> {
    /// Begins behind the header. The header is written last, because it holds the total length.
    pub(super) fn new(room: VolatileSlice<'a>) -> Self {
        let len = size_of::<InHeader>();
        Self { room, len }
    }

    /// Writes the header, and returns how many bytes of the slot are used.
    pub(super) fn finish(self, mut header: InHeader, bulk: u32) -> u32 {
        header.len = self.len as u32 + bulk;
        self.room.copy_from(header.as_slice());
        self.len as u32
    }

    /// Appends the body, and returns the bulk data that belongs to it.
    pub(super) fn body(&mut self, body: &Body<'_>) -> Result<Transfers, FuseError> {
        match body {
            Body::Lookup { name }
            | Body::Unlink { name }
            | Body::Rmdir { name }
            | Body::Removexattr { name } => self.names(&[name])?,
            Body::Symlink { name, target } => self.names(&[name, target])?,
            Body::Mknod { args, name } => self.with_name(args, name)?,
            Body::Mkdir { args, name } => self.with_name(args, name)?,
            Body::Create { args, name } => self.with_name(args, name)?,
            Body::Link { node, name } => {
                let oldnodeid = node.0;
                self.with_name(&LinkIn { oldnodeid }, name)?;
            }
            Body::Rename {
                new_parent,
                name,
                new_name,
            } => {
                let newdir = new_parent.0;
                self.put(&RenameIn { newdir })?;
                self.names(&[name, new_name])?;
            }
            Body::Rename2 {
                args,
                name,
                new_name,
            } => {
                self.put(args)?;
                self.names(&[name, new_name])?;
            }
            Body::Setxattr { name, value, flags } => {
                let (size, flags) = (value.len() as u32, *flags);
                self.with_name(&SetxattrIn { size, flags }, name)?;
                self.bytes(value)?;
            }
            Body::Raw { body, .. } => self.bytes(body)?,
            Body::BatchForget { nodes } => {
                let (count, dummy) = (nodes.len() as u32, 0);
                self.put(&BatchForgetIn { count, dummy })?;
                nodes.iter().try_for_each(|node| self.put(node))?;
            }
            Body::RemoveMapping { count, ranges } => {
                self.put(&RemovemappingIn { count: *count })?;
                ranges.iter().try_for_each(|range| self.put(range))?;
            }
            Body::Init(args, more) => {
                self.put(args)?;
                self.put(more)?;
            }
            other => self.arguments(other)?,
        }
        Ok(transfers(body))
    }

    /// The bodies that are one structure.
    fn arguments(&mut self, body: &Body<'_>) -> Result<(), FuseError> {
        match body {
            Body::Forget { lookups } => self.put(&ForgetIn { nlookup: *lookups }),
            Body::Interrupt { unique } => self.put(&InterruptIn { unique: unique.0 }),
            Body::Getattr(args) => self.put(args),
            Body::Setattr(args) => self.put(args),
            Body::Open(args) | Body::Opendir(args) => self.put(args),
            Body::Read { args, .. }
            | Body::Readdir { args, .. }
            | Body::Readdirplus { args, .. } => self.put(args),
            Body::Write { args, .. } => self.put(args),
            Body::Release(args) | Body::Releasedir(args) => self.put(args),
            Body::Fsync(args) | Body::Fsyncdir(args) => self.put(args),
            Body::Flush(args) => self.put(args),
            Body::Getlk(args) | Body::Setlk(args) | Body::Setlkw(args) => self.put(args),
            Body::Access(args) => self.put(args),
            Body::Fallocate(args) => self.put(args),
            Body::Lseek(args) => self.put(args),
            Body::CopyFileRange(args) => self.put(args),
            Body::SetupMapping(args) => self.put(args),
            Body::Getxattr { name, into } => {
                self.put(&GetxattrIn {
                    size: into.len,
                    padding: 0,
                })?;
                self.names(&[name])
            }
            Body::Listxattr { into } => self.put(&GetxattrIn {
                size: into.len,
                padding: 0,
            }),
            // The other bodies have no arguments.
            _ => Ok(()),
        }
    }

    fn with_name(&mut self, args: &impl ByteValued, name: &[u8]) -> Result<(), FuseError> {
        self.put(args)?;
        self.names(&[name])
    }

    fn names(&mut self, names: &[&[u8]]) -> Result<(), FuseError> {
        names.iter().try_for_each(|name| {
            self.bytes(name)?;
            self.bytes(&[0])
        })
    }

    fn put(&mut self, args: &impl ByteValued) -> Result<(), FuseError> {
        self.bytes(args.as_slice())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FuseError> {
        let (len, limit) = (self.len + bytes.len(), self.room.len());
        let place = self.room.subslice(self.len, bytes.len());
        place
            .map_err(|_| FuseError::TooLong { len, limit })?
            .copy_from(bytes);
        self.len = len;
        Ok(())
    }
}

fn transfers(body: &Body<'_>) -> Transfers {
    let nothing = GuestSpan::default();
    let (send, receive) = match body {
        Body::Write { from, .. } => (*from, nothing),
        Body::Read { into, .. }
        | Body::Readdir { into, .. }
        | Body::Readdirplus { into, .. }
        | Body::Readlink { into }
        | Body::Getxattr { into, .. }
        | Body::Listxattr { into }
        | Body::Raw { into, .. } => (nothing, *into),
        _ => (nothing, nothing),
    };
    let shape = Shape::of(body);
    Transfers {
        send,
        receive,
        shape,
    }
}
