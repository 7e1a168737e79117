// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Directories.

use fuse_backend_rs::abi::fuse_abi::{Dirent, Direntplus, EntryOut, FsyncIn, Opcode, OpenOut};
use vm_memory_017::ByteValued;

use super::client::expect_reply;
use super::reply::Shape;
use super::request::{open_arguments, release_arguments};
use super::{Body, Client, FuseError, Reply};
use crate::units::{FileOffset, Handle, NodeId};

/// An entry of READDIR or READDIRPLUS.
#[derive(Debug, Clone)]
pub struct DirectoryEntry {
    /// Its name.
    pub name: Vec<u8>,
    /// The host's inode number.
    pub inode: u64,
    /// DT_….
    pub kind: u32,
    /// The offset of the next entry.
    pub next: FileOffset,
    /// The answer of a LOOKUP of the entry; READDIRPLUS only. It counts as a lookup unless its node
    /// is 0.
    pub entry: Option<EntryOut>,
}

impl Client {
    /// OPENDIR.
    pub fn opendir(&mut self, node: NodeId) -> Result<OpenOut, FuseError> {
        let body = Body::of(Opcode::Opendir, Shape::Opened);
        let reply = self.call(node, body.with(&open_arguments(libc::O_DIRECTORY)))?;
        expect_reply!(reply, Reply::Opened(open) => open)
    }

    /// RELEASEDIR.
    pub fn releasedir(&mut self, node: NodeId, handle: Handle) -> Result<(), FuseError> {
        let body = Body::of(Opcode::Releasedir, Shape::Empty).with(&release_arguments(handle));
        self.finish(node, body)
    }

    /// FSYNCDIR.
    pub fn fsyncdir(&mut self, node: NodeId, handle: Handle) -> Result<(), FuseError> {
        let arguments = FsyncIn {
            fh: handle.0,
            ..FsyncIn::default()
        };
        self.finish(
            node,
            Body::of(Opcode::Fsyncdir, Shape::Empty).with(&arguments),
        )
    }

    /// READDIR of the entries that fit into `room` bytes; empty at the end.
    pub fn readdir(
        &mut self,
        node: NodeId,
        handle: Handle,
        offset: FileOffset,
        room: usize,
    ) -> Result<Vec<DirectoryEntry>, FuseError> {
        let into = self.own_span(room)?;
        let bytes = self.buffered(node, Body::readdir(handle, offset, into))?;
        parse(&bytes, Opcode::Readdir)
    }

    /// READDIRPLUS of the entries that fit into `room` bytes; empty at the end.
    pub fn readdirplus(
        &mut self,
        node: NodeId,
        handle: Handle,
        offset: FileOffset,
        room: usize,
    ) -> Result<Vec<DirectoryEntry>, FuseError> {
        let into = self.own_span(room)?;
        let bytes = self.buffered(node, Body::readdirplus(handle, offset, into))?;
        parse(&bytes, Opcode::Readdirplus)
    }
}

fn parse(mut bytes: &[u8], opcode: Opcode) -> Result<Vec<DirectoryEntry>, FuseError> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let (entry, len) = parse_one(bytes, opcode).ok_or_else(|| FuseError::BadReply {
            opcode,
            what: format!("its last {} bytes are no entry", bytes.len()),
        })?;
        entries.push(entry);
        bytes = &bytes[len..];
    }
    Ok(entries)
}

/// The first entry, and its length in bytes.
fn parse_one(bytes: &[u8], opcode: Opcode) -> Option<(DirectoryEntry, usize)> {
    let (entry, header, head) = if matches!(opcode, Opcode::Readdirplus) {
        let plus: Direntplus = get(bytes)?;
        (Some(plus.entry_out), plus.dirent, size_of::<Direntplus>())
    } else {
        (None, get::<Dirent>(bytes)?, size_of::<Dirent>())
    };
    let end = head + header.namelen as usize;
    let name = bytes.get(head..end)?.to_vec();
    let len = end.next_multiple_of(8);
    let entry = DirectoryEntry {
        name,
        inode: header.ino,
        kind: header.type_,
        next: FileOffset(header.off),
        entry,
    };
    (len <= bytes.len()).then_some((entry, len))
}

fn get<T: ByteValued + Default>(bytes: &[u8]) -> Option<T> {
    let mut value = T::default();
    value
        .as_mut_slice()
        .copy_from_slice(bytes.get(..size_of::<T>())?);
    Some(value)
}
