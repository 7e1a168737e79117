// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest memory for the requests in flight, and the state of each.

use std::sync::Arc;

use fuse_backend_rs::abi::fuse_abi::Opcode;
use vm_memory::VolatileSlice;

use super::FuseError;
use super::reply::Shape;
use crate::memory::{GuestBuffer, GuestSpan, Region};
use crate::units::Unique;

/// Room for a request without bulk data: at least two names and a path.
const REQUEST_ROOM: usize = 8192;
/// Room for a reply without bulk data. The largest is 160 bytes.
const REPLY_ROOM: usize = 512;
const ROOM: usize = REQUEST_ROOM + REPLY_ROOM;

/// The state that is needed when the reply comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) unique: Unique,
    pub(super) opcode: Opcode,
    pub(super) shape: Shape,
    pub(super) room: u32,
}

/// One slot for each request that can be in flight.
#[derive(Debug)]
pub(super) struct Slots {
    memory: GuestBuffer,
    sent: Vec<Option<Sent>>,
    free: Vec<usize>,
}

impl Slots {
    pub(super) fn new(region: &Arc<Region>, depth: usize) -> Result<Self, FuseError> {
        Ok(Self {
            memory: region.allocate(depth * ROOM, 64)?,
            sent: vec![None; depth],
            free: (0..depth).rev().collect(),
        })
    }

    pub(super) fn depth(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn in_use(&self) -> usize {
        self.sent.len() - self.free.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.free.is_empty()
    }

    /// The slot of the next request.
    pub(super) fn next(&self) -> Result<usize, FuseError> {
        let next = self.free.last().copied();
        next.ok_or(FuseError::Depth(self.depth()))
    }

    /// Takes the slot that [`Slots::next`] returned.
    pub(super) fn begin(&mut self, slot: usize, sent: Sent) {
        debug_assert_eq!(self.free.last(), Some(&slot));
        self.free.pop();
        self.sent[slot] = Some(sent);
    }

    /// Frees a slot. Its reply can be read until the next request.
    pub(super) fn end(&mut self, slot: usize) -> Option<Sent> {
        let sent = self.sent.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(sent)
    }

    /// Drops all requests.
    pub(super) fn clear(&mut self) {
        let depth = self.depth();
        self.sent.fill(None);
        self.free.clear();
        self.free.extend((0..depth).rev());
    }

    pub(super) fn request(&self, slot: usize) -> VolatileSlice<'_> {
        self.part(slot * ROOM, REQUEST_ROOM)
    }

    pub(super) fn reply(&self, slot: usize) -> VolatileSlice<'_> {
        self.part(slot * ROOM + REQUEST_ROOM, REPLY_ROOM)
    }

    pub(super) fn request_span(&self, slot: usize, len: u32) -> GuestSpan {
        let at = slot * ROOM;
        self.memory.part(at..at + len as usize)
    }

    pub(super) fn reply_span(&self, slot: usize, len: usize) -> GuestSpan {
        let at = slot * ROOM + REQUEST_ROOM;
        self.memory.part(at..at + len)
    }

    fn part(&self, at: usize, len: usize) -> VolatileSlice<'_> {
        let part = self.memory.volatile().subslice(at, len);
        part.expect("a slot is in its buffer")
    }
}
