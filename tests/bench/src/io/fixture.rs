// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The preparations of a worker: the nodes and handles that it uses, and its memory.

use virtiofs_driver::{
    Client, FileOffset, FuseError, GuestBuffer, GuestSpan, Handle, NodeId, Vm, memory::MemoryError,
};

use super::Size;
use crate::files::{DATA, MANY, NAMES};

/// Room for the entries of one READDIRPLUS.
pub const LISTING: u32 = 64 << 10;

/// Nodes, open files, and the offsets of a listing.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The file that requests read and write.
    pub data: NodeId,
    pub handle: Handle,
    /// The folder of names to look up.
    pub names: NodeId,
    pub many: NodeId,
    pub listing: Handle,
    /// The offset of each READDIRPLUS of a whole listing.
    pub cookies: Vec<FileOffset>,
}

impl Scene {
    /// Looks up and opens everything.
    pub fn set(client: &mut Client) -> Result<Self, FuseError> {
        let mut node = |name| {
            client
                .lookup(NodeId::ROOT, name)
                .map(|found| NodeId(found.nodeid))
        };
        let (data, names, many) = (node(DATA)?, node(NAMES)?, node(MANY)?);
        let handle = Handle(client.open(data, libc::O_RDWR)?.fh);
        let listing = Handle(client.opendir(many)?.fh);
        let mut cookies = vec![FileOffset(0)];
        loop {
            let from = cookies[cookies.len() - 1];
            let entries = client.readdirplus(many, listing, from, LISTING as usize)?;
            match entries.last() {
                Some(last) => cookies.push(last.next),
                None => break,
            }
        }
        // The last READDIRPLUS returned no entry.
        cookies.pop();
        Ok(Self {
            data,
            handle,
            names,
            many,
            listing,
            cookies,
        })
    }
}

/// Guest memory for the data of requests in flight: one buffer of whole pages for each slot.
#[derive(Debug)]
pub struct Buffers(Vec<GuestBuffer>);

impl Buffers {
    /// Allocates as many buffers as there can be requests in flight.
    pub fn new(vm: &Vm, depth: usize) -> Result<Self, MemoryError> {
        let size = Size::Large.bytes() as usize;
        let one = |_| {
            let buffer = vm.memory().allocate(size, 4096)?;
            // Otherwise the first use of each page would cost a page fault of the host.
            buffer.fill(0xd5);
            Ok(buffer)
        };
        Ok(Self(
            (0..depth).map(one).collect::<Result<_, MemoryError>>()?,
        ))
    }

    /// The first bytes of a slot's buffer.
    pub fn span(&self, slot: usize, len: u32) -> GuestSpan {
        self.0[slot].part(0..len as usize)
    }
}
