// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The layout of a request in guest memory: the number of descriptors, and what is wrong with them.

use super::queue::{PAYLOAD, SIZE};
use crate::input::Bytes;

pub(super) const NEXT: u16 = 1;
pub(super) const WRITE: u16 = 2;
pub(super) const INDIRECT: u16 = 4;
/// The most descriptors of a chain in each direction.
const PIECES: usize = 30;

crate::operations! {
    /// The layout of a request in memory.
    pub struct Shape {
        /// Bytes of each readable descriptor; 0 means one descriptor for all bytes.
        readable: u8,
        /// Bytes of each writable descriptor, for the room of the reply.
        writable: u8,
        /// See the methods.
        flags: u8,
    }
}

crate::operations! {
    /// A request.
    pub struct Frame {
        /// The layout.
        shape: Shape,
        /// Room for the reply, in bytes.
        room: u16,
        /// The request.
        bytes: Bytes,
    }
}

impl Frame {
    /// A request as Linux sends it, except for its room: `room` bytes.
    pub fn plain(request: Vec<u8>, room: u16) -> Self {
        Self {
            shape: Shape::PLAIN,
            room,
            bytes: Bytes(request),
        }
    }
}

impl Shape {
    /// One descriptor for the request, one for the reply, and a kick for each request.
    pub const PLAIN: Self = Self {
        readable: 0,
        writable: 0,
        flags: Self::LENGTH,
    };

    /// The flag of [`Self::corrects_length`].
    pub const LENGTH: u8 = 1;

    /// The length in the request's header is corrected.
    pub fn corrects_length(&self) -> bool {
        self.flags & Self::LENGTH != 0
    }

    /// The descriptors are in a table of their own.
    pub fn is_indirect(&self) -> bool {
        self.flags & 2 != 0
    }

    /// Empty descriptors are between the others.
    pub fn has_empty_ones(&self) -> bool {
        self.flags & 4 != 0
    }

    /// The request waits for the next one's kick.
    pub fn kicks(&self) -> bool {
        self.flags & 8 == 0
    }

    /// What is wrong with the chain, if anything is.
    pub fn flaw(&self) -> Option<Flaw> {
        match self.flags >> 4 {
            1 => Some(Flaw::ReadableLast),
            2 => Some(Flaw::Loop),
            3 => Some(Flaw::Outside),
            4 => Some(Flaw::NextOutside),
            _ => None,
        }
    }
}

/// Errors of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A readable descriptor follows a writable one.
    ReadableLast,
    /// The last descriptor leads back to the first.
    Loop,
    /// The last descriptor points outside of the memory.
    Outside,
    /// The last descriptor's next index is not in the table.
    NextOutside,
}

pub(super) struct Descriptor {
    pub(super) addr: u64,
    pub(super) len: u32,
    pub(super) flags: u16,
}

/// Splits `len` bytes at `at` into descriptors of `size` bytes. The last one has the rest.
pub(super) fn pieces(at: u64, len: usize, size: u8, flags: u16) -> Vec<Descriptor> {
    let mut chain = Vec::new();
    let mut done = 0;
    while done < len {
        let last = size == 0 || chain.len() + 1 == PIECES;
        let here = if last {
            len - done
        } else {
            usize::from(size).min(len - done)
        };
        chain.push(Descriptor {
            addr: at + done as u64,
            len: here as u32,
            flags,
        });
        done += here;
    }
    chain
}

/// Adds the error of the shape. Returns whether the chain is still well-formed and has at least one
/// byte.
pub(super) fn spoil(chain: &mut Vec<Descriptor>, shape: &Shape) -> bool {
    let has_bytes = !chain.is_empty();
    let writable = chain.last().is_some_and(|last| last.flags & WRITE != 0);
    let empty = |flags| Descriptor {
        addr: PAYLOAD,
        len: 0,
        flags,
    };
    if shape.has_empty_ones() {
        let middle = chain.partition_point(|descriptor| descriptor.flags & WRITE == 0);
        chain.insert(middle, empty(0));
        chain.push(empty(WRITE));
    }
    match shape.flaw() {
        None => has_bytes,
        Some(Flaw::ReadableLast) => {
            chain.push(Descriptor { len: 1, ..empty(0) });
            // Without an earlier writable byte, this descriptor is the last one of the request.
            !writable && has_bytes
        }
        Some(Flaw::Loop | Flaw::NextOutside) => chain.is_empty() && has_bytes,
        Some(Flaw::Outside) => {
            chain.push(Descriptor {
                addr: SIZE as u64 - 8,
                len: 16,
                flags: WRITE,
            });
            false
        }
    }
}
