// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files: attributes, open and close, and operations on open files.

use fuse_backend_rs::abi::fuse_abi::{
    AccessIn, Attr, FATTR_FH, FileLock, LseekIn, Opcode, OpenOut, SetattrIn, SetattrValid,
};

use super::client::expect_reply;
use super::reply::Shape;
use super::{Body, Client, FuseError, Reply};
use crate::units::{FileOffset, Handle, NodeId};

impl Client {
    /// GETATTR, with the handle of an open file if there is one.
    pub fn getattr(&mut self, node: NodeId, handle: Option<Handle>) -> Result<Attr, FuseError> {
        let reply = self.call(node, Body::getattr(handle))?;
        expect_reply!(reply, Reply::Attr(attr) => attr.attr)
    }

    /// SETATTR.
    pub fn setattr(&mut self, node: NodeId, args: SetattrIn) -> Result<Attr, FuseError> {
        let reply = self.call(node, Body::setattr(args))?;
        expect_reply!(reply, Reply::Attr(attr) => attr.attr)
    }

    /// SETATTR of the size: truncate.
    pub fn truncate(
        &mut self,
        node: NodeId,
        handle: Option<Handle>,
        size: FileOffset,
    ) -> Result<Attr, FuseError> {
        let by_handle = if handle.is_some() { FATTR_FH } else { 0 };
        let args = SetattrIn {
            valid: SetattrValid::SIZE.bits() | by_handle,
            fh: handle.map_or(0, |handle| handle.0),
            size: size.0,
            ..SetattrIn::default()
        };
        self.setattr(node, args)
    }

    /// OPEN; `flags` are O_….
    pub fn open(&mut self, node: NodeId, flags: i32) -> Result<OpenOut, FuseError> {
        let reply = self.call(node, Body::open(flags))?;
        expect_reply!(reply, Reply::Opened(open) => open)
    }

    /// RELEASE.
    pub fn release(&mut self, node: NodeId, handle: Handle) -> Result<(), FuseError> {
        self.finish(node, Body::release(handle))
    }

    /// FLUSH, as close(2) sends it.
    pub fn flush(&mut self, node: NodeId, handle: Handle) -> Result<(), FuseError> {
        self.finish(node, Body::flush(handle, 0))
    }

    /// FSYNC; of the data only, if `data` is set.
    pub fn fsync(&mut self, node: NodeId, handle: Handle, data: bool) -> Result<(), FuseError> {
        self.finish(node, Body::fsync(handle, data))
    }

    /// FALLOCATE; `mode` is FALLOC_FL_….
    pub fn fallocate(
        &mut self,
        node: NodeId,
        handle: Handle,
        mode: i32,
        offset: FileOffset,
        length: u64,
    ) -> Result<(), FuseError> {
        self.finish(node, Body::fallocate(handle, mode, offset, length))
    }

    /// LSEEK; `whence` is SEEK_….
    pub fn lseek(
        &mut self,
        node: NodeId,
        handle: Handle,
        offset: FileOffset,
        whence: i32,
    ) -> Result<FileOffset, FuseError> {
        let args = LseekIn {
            fh: handle.0,
            offset: offset.0,
            whence: whence as u32,
            padding: 0,
        };
        let body = Body::of(Opcode::Lseek, Shape::Offset).with(&args);
        let reply = self.call(node, body)?;
        expect_reply!(reply, Reply::Offset(offset) => offset)
    }

    /// ACCESS; `mask` is R_OK, W_OK, X_OK.
    pub fn access(&mut self, node: NodeId, mask: i32) -> Result<(), FuseError> {
        let mask = mask as u32;
        let args = AccessIn { mask, padding: 0 };
        self.finish(node, Body::of(Opcode::Access, Shape::Empty).with(&args))
    }

    /// GETLK.
    pub fn getlk(
        &mut self,
        node: NodeId,
        handle: Handle,
        owner: u64,
        lk: FileLock,
    ) -> Result<FileLock, FuseError> {
        let reply = self.call(node, Body::getlk(handle, owner, lk))?;
        expect_reply!(reply, Reply::Lock(found) => found.lk)
    }

    /// SETLK, which does not wait.
    pub fn setlk(
        &mut self,
        node: NodeId,
        handle: Handle,
        owner: u64,
        lk: FileLock,
    ) -> Result<(), FuseError> {
        self.finish(node, Body::setlk(handle, owner, lk, false))
    }
}
