// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Directories.

use fuse_backend_rs::abi::fuse_abi::{
    Dirent, Direntplus, EntryOut, FsyncIn, Opcode, OpenIn, OpenOut, ReadIn, ReleaseIn,
};
use vm_memory_017::ByteValued;

use super::client::expect_reply;
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
        let flags = libc::O_DIRECTORY as u32;
        let args = OpenIn {
            flags,
            fuse_flags: 0,
        };
        let reply = self.call(node, Body::Opendir(args))?;
        expect_reply!(reply, Reply::Opened(open) => open)
    }

    /// RELEASEDIR.
    pub fn releasedir(&mut self, node: NodeId, handle: Handle) -> Result<(), FuseError> {
        let args = ReleaseIn {
            fh: handle.0,
            ..ReleaseIn::default()
        };
        self.call(node, Body::Releasedir(args)).map(drop)
    }

    /// FSYNCDIR.
    pub fn fsyncdir(&mut self, node: NodeId, handle: Handle) -> Result<(), FuseError> {
        let args = FsyncIn {
            fh: handle.0,
            ..FsyncIn::default()
        };
        self.call(node, Body::Fsyncdir(args)).map(drop)
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
        let args = read_args(handle, offset, into.len);
        self.entries(node, Body::Readdir { args, into })
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
        let args = read_args(handle, offset, into.len);
        self.entries(node, Body::Readdirplus { args, into })
    }

    /// The entries that a request reads into the client's own buffer.
    fn entries(&mut self, node: NodeId, body: Body) -> Result<Vec<DirectoryEntry>, FuseError> {
        let opcode = body.opcode();
        let reply = self.call(node, body)?;
        let len = expect_reply!(reply, Reply::Data(len) => len)?;
        parse(&self.buffer.to_vec(len as usize)?, opcode)
    }
}

fn read_args(handle: Handle, offset: FileOffset, size: u32) -> ReadIn {
    ReadIn {
        fh: handle.0,
        offset: offset.0,
        size,
        ..ReadIn::default()
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
