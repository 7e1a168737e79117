// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Bytes of files, in requests and through the window, and extended attributes.

use fuse_backend_rs::abi::fuse_abi::{CopyFileRangeIn, Opcode, SetxattrIn};

use super::client::expect_reply;
use super::reply::Shape;
use super::{Body, Client, FuseError, Reply};
use crate::memory::GuestSpan;
use crate::units::{FileOffset, Handle, NodeId, WindowOffset};

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
        self.buffered(node, Body::read(handle, offset, into))
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
        let arguments = CopyFileRangeIn {
            fh_in: handle.0,
            offset_in: offset.0,
            nodeid_out: to_node.0,
            fh_out: to_handle.0,
            offset_out: to_offset.0,
            len,
            flags: 0,
        };
        let body = Body::of(Opcode::CopyFileRange, Shape::Written).with(&arguments);
        let reply = self.call(node, body)?;
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
        let (size, flags) = (value.len() as u32, flags as u32);
        let body = Body::of(Opcode::Setxattr, Shape::Empty).with(&SetxattrIn { size, flags });
        self.finish(node, body.value(name, value))
    }

    /// GETXATTR.
    pub fn getxattr(&mut self, node: NodeId, name: &str) -> Result<Vec<u8>, FuseError> {
        let into = self.own_span(1 << 16)?;
        self.buffered(node, Body::getxattr(name, into))
    }

    /// LISTXATTR: names, each followed by a NUL.
    pub fn listxattr(&mut self, node: NodeId) -> Result<Vec<u8>, FuseError> {
        let into = self.own_span(1 << 16)?;
        self.buffered(node, Body::listxattr(into))
    }

    /// REMOVEXATTR.
    pub fn removexattr(&mut self, node: NodeId, name: &str) -> Result<(), FuseError> {
        let body = Body::of(Opcode::Removexattr, Shape::Empty).name(name);
        self.finish(node, body)
    }

    /// SETUPMAPPING: maps `len` bytes of the file, starting at `from`, at `at` of the window.
    pub fn setup_mapping(
        &mut self,
        node: NodeId,
        from: FileOffset,
        len: u64,
        at: WindowOffset,
        write: bool,
    ) -> Result<(), FuseError> {
        self.finish(node, Body::setup_mapping(from, len, at, write))
    }

    /// REMOVEMAPPING of these ranges, each an offset and a length.
    pub fn remove_mapping(
        &mut self,
        node: NodeId,
        ranges: &[(WindowOffset, u64)],
    ) -> Result<(), FuseError> {
        self.finish(node, Body::remove_mapping(ranges))
    }
}
