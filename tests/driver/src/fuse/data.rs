// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Bytes of files, and extended attributes.

use fuse_backend_rs::abi::fuse_abi::{CopyFileRangeIn, ReadIn, WriteIn};

use super::client::expect_reply;
use super::{Body, Client, FuseError, Reply};
use crate::memory::GuestSpan;
use crate::units::{FileOffset, Handle, NodeId};

impl Body<'_> {
    /// READ of as much as `into` has room for.
    pub fn read(handle: Handle, offset: FileOffset, into: GuestSpan) -> Self {
        let args = ReadIn {
            fh: handle.0,
            offset: offset.0,
            size: into.len,
            ..ReadIn::default()
        };
        Self::Read { args, into }
    }

    /// WRITE of all of `from`.
    pub fn write(handle: Handle, offset: FileOffset, from: GuestSpan) -> Self {
        let args = WriteIn {
            fh: handle.0,
            offset: offset.0,
            size: from.len,
            ..WriteIn::default()
        };
        Self::Write { args, from }
    }
}

impl Client {
    /// READ into guest memory; returns the number of bytes read.
    pub fn read(
        &mut self,
        node: NodeId,
        handle: Handle,
        offset: FileOffset,
        into: GuestSpan,
    ) -> Result<u32, FuseError> {
        let reply = self.call(node, Body::read(handle, offset, into))?;
        expect_reply!(reply, Reply::Data(len) => len)
    }

    /// READ of at most `len` bytes, through the client's own buffer.
    pub fn read_vec(
        &mut self,
        node: NodeId,
        handle: Handle,
        offset: FileOffset,
        len: usize,
    ) -> Result<Vec<u8>, FuseError> {
        let into = self.own_span(len)?;
        let len = self.read(node, handle, offset, into)?;
        Ok(self.buffer.to_vec(len as usize)?)
    }

    /// WRITE from guest memory; returns the number of bytes written.
    pub fn write(
        &mut self,
        node: NodeId,
        handle: Handle,
        offset: FileOffset,
        from: GuestSpan,
    ) -> Result<u32, FuseError> {
        let reply = self.call(node, Body::write(handle, offset, from))?;
        expect_reply!(reply, Reply::Written(len) => len)
    }

    /// WRITE of a slice, through the client's own buffer.
    pub fn write_slice(
        &mut self,
        node: NodeId,
        handle: Handle,
        offset: FileOffset,
        bytes: &[u8],
    ) -> Result<u32, FuseError> {
        let from = self.own_span(bytes.len())?;
        self.buffer.write(0, bytes)?;
        self.write(node, handle, offset, from)
    }

    /// COPY_FILE_RANGE; returns the number of bytes copied.
    pub fn copy_file_range(
        &mut self,
        (node, handle, offset): (NodeId, Handle, FileOffset),
        (to_node, to_handle, to_offset): (NodeId, Handle, FileOffset),
        len: u64,
    ) -> Result<u32, FuseError> {
        let args = CopyFileRangeIn {
            fh_in: handle.0,
            offset_in: offset.0,
            nodeid_out: to_node.0,
            fh_out: to_handle.0,
            offset_out: to_offset.0,
            len,
            flags: 0,
        };
        let reply = self.call(node, Body::CopyFileRange(args))?;
        expect_reply!(reply, Reply::Written(len) => len)
    }

    /// SETXATTR; `flags` are XATTR_….
    pub fn setxattr(
        &mut self,
        node: NodeId,
        name: &str,
        value: &[u8],
        flags: i32,
    ) -> Result<(), FuseError> {
        let (name, flags) = (name.as_bytes(), flags as u32);
        self.call(node, Body::Setxattr { name, value, flags })
            .map(drop)
    }

    /// GETXATTR.
    pub fn getxattr(&mut self, node: NodeId, name: &str) -> Result<Vec<u8>, FuseError> {
        let name = name.as_bytes();
        let into = self.own_span(1 << 16)?;
        let reply = self.call(node, Body::Getxattr { name, into })?;
        let len = expect_reply!(reply, Reply::Data(len) => len)?;
        Ok(self.buffer.to_vec(len as usize)?)
    }

    /// LISTXATTR: names, each followed by a NUL.
    pub fn listxattr(&mut self, node: NodeId) -> Result<Vec<u8>, FuseError> {
        let into = self.own_span(1 << 16)?;
        let reply = self.call(node, Body::Listxattr { into })?;
        let len = expect_reply!(reply, Reply::Data(len) => len)?;
        Ok(self.buffer.to_vec(len as usize)?)
    }

    /// REMOVEXATTR.
    pub fn removexattr(&mut self, node: NodeId, name: &str) -> Result<(), FuseError> {
        let name = name.as_bytes();
        self.call(node, Body::Removexattr { name }).map(drop)
    }
}
