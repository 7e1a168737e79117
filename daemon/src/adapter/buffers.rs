// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The bytes of a request, behind the descriptors that were copied.

use std::io;
use std::sync::Arc;

use smallvec::SmallVec;
use vm_memory::bitmap::Bitmap;
use vm_memory::{
    Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, VolatileMemoryError,
    VolatileSlice,
};

use vm_memory_017::ByteValued;

use super::memory::TransportMemory;
use super::outside::{Fault, Outside};

/// Up to this many buffers of one direction need no allocation: a header and two pages, and some
/// more.
pub(super) const INLINE_BUFFERS: usize = 8;

/// The buffers of one direction, in the order of their bytes.
pub(super) type Buffers = SmallVec<[Buffer; INLINE_BUFFERS]>;

/// The index of a chain's first descriptor in its table; identifies the chain in the used ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadIndex(pub u16);

/// A piece of guest memory inside one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Buffer {
    pub(super) addr: GuestAddress,
    pub(super) len: u32,
    /// The address of its `len` bytes in this process, while the memory of their request lives.
    pub(super) host: *mut u8,
}

// SAFETY: the address is only a number here. Its bytes are accessed by `bytes` and by system calls,
// while the request's memory is borrowed, and every thread sees the same mapping.
unsafe impl Send for Buffer {}

impl Buffer {
    /// The buffer's bytes from `skip` on. Writes to them do not reach the region's bitmap: see
    /// [`ChainBuffers::mark_written`].
    fn bytes<'a>(&self, _memory: &'a TransportMemory, skip: usize) -> VolatileSlice<'a> {
        let len = (self.len as usize).saturating_sub(skip);
        let start = self.host.wrapping_add(self.len as usize - len);
        // SAFETY: `split` looked these bytes up in the request's memory, which owns the mapping and
        // is borrowed for as long as the slice lives.
        unsafe { VolatileSlice::new(start, len) }
    }
}

/// The request's payload cannot be read or written at this place.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// The chain's buffers end before.
    #[error("bytes {offset}..{end} are outside the chain's {available} bytes")]
    OutOfRange {
        /// First byte asked for.
        offset: usize,
        /// Byte after the last one asked for.
        end: usize,
        /// Bytes in the chain for this direction.
        available: usize,
    },
    /// Guest memory refused the access.
    #[error("guest memory cannot be accessed")]
    Memory(#[source] VolatileMemoryError),
}

/// One request of the guest: its buffers, and those for the reply.
pub struct ChainBuffers {
    pub(super) head: HeadIndex,
    pub(super) memory: Arc<TransportMemory>,
    pub(super) readable: Buffers,
    pub(super) writable: Buffers,
    /// The parts in mapped files; `None` for nearly every request.
    pub(super) outside: Option<Box<Outside>>,
}

impl ChainBuffers {
    /// Why the request can't be served although it can be answered.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.outside.as_ref()?.fault()
    }

    /// Copies those of the reply's first `len` bytes that lie in files to their files. To be called
    /// before the request is returned to the guest.
    ///
    /// # Errors
    /// The error of the write to a file.
    pub fn finish(&self, len: u32) -> io::Result<()> {
        match &self.outside {
            Some(outside) => outside.write_back(len as usize),
            None => Ok(()),
        }
    }

    /// The index of the chain's first descriptor, by which the used ring names the chain.
    #[must_use]
    pub fn head(&self) -> HeadIndex {
        self.head
    }

    /// How many bytes the guest sent, header included.
    #[must_use]
    pub fn readable_len(&self) -> usize {
        total(&self.readable)
    }

    /// How many bytes the guest left room for in the reply, header included.
    #[must_use]
    pub fn writable_len(&self) -> usize {
        total(&self.writable)
    }

    /// Fills `bytes` from the guest's bytes at `offset`.
    ///
    /// # Errors
    /// When the chain is too short.
    pub fn read_at(&self, offset: usize, bytes: &mut [u8]) -> Result<(), PayloadError> {
        self.read_from(&self.readable, offset, bytes)
    }

    /// The object that the guest put at `offset`.
    ///
    /// # Errors
    /// When the chain is too short.
    pub fn read_object<T: ByteValued + Default>(&self, offset: usize) -> Result<T, PayloadError> {
        let mut object = T::default();
        self.read_at(offset, object.as_mut_slice())?;
        Ok(object)
    }

    /// Writes `object` to the reply at `offset`.
    ///
    /// # Errors
    /// When the room for the reply is too short; nothing was written then.
    pub fn write_object<T: ByteValued>(
        &self,
        offset: usize,
        object: T,
    ) -> Result<(), PayloadError> {
        self.write_at(offset, object.as_slice())
    }

    /// Reads back reply bytes that were written before.
    ///
    /// # Errors
    /// When the room for the reply is too short.
    pub fn read_back_at(&self, offset: usize, bytes: &mut [u8]) -> Result<(), PayloadError> {
        self.read_from(&self.writable, offset, bytes)
    }

    /// Writes `bytes` to the reply at `offset`.
    ///
    /// # Errors
    /// When the room for the reply is too short; nothing was written then.
    pub fn write_at(&self, offset: usize, bytes: &[u8]) -> Result<(), PayloadError> {
        for_each_piece(
            &self.writable,
            offset,
            bytes.len(),
            |buffer, skip, range| {
                let piece = buffer.bytes(&self.memory, skip);
                piece.write_slice(&bytes[range], 0)
            },
        )
    }

    fn read_from(
        &self,
        buffers: &[Buffer],
        offset: usize,
        bytes: &mut [u8],
    ) -> Result<(), PayloadError> {
        for_each_piece(buffers, offset, bytes.len(), |buffer, skip, range| {
            let piece = buffer.bytes(&self.memory, skip);
            piece.read_slice(&mut bytes[range], 0)
        })
    }

    /// Marks all room for the reply dirty, for a migration that is under way.
    ///
    /// Writes are not marked one by one: the FUSE server writes through the shadow memory, whose
    /// bitmaps nothing reads, and all other code through plain pointers. More than the reply may
    /// have been written (by a read that failed half way), so the whole room is marked.
    pub fn mark_written(&self) {
        for buffer in &self.writable {
            let found = self.memory.to_region_addr(buffer.addr);
            if let Some((region, offset)) = found {
                GuestMemoryRegion::bitmap(region)
                    .mark_dirty(offset.raw_value() as usize, buffer.len as usize);
            }
        }
    }

    pub(super) fn memory(&self) -> &TransportMemory {
        &self.memory
    }

    pub(super) fn buffers(&self) -> (&[Buffer], &[Buffer]) {
        (&self.readable, &self.writable)
    }
}

pub(super) fn total(buffers: &[Buffer]) -> usize {
    buffers.iter().map(|buffer| buffer.len as usize).sum()
}

/// Calls `access` with the buffer, how much of it to skip, and the part of the caller's slice, for
/// each piece of `len` bytes at `offset`.
fn for_each_piece(
    buffers: &[Buffer],
    offset: usize,
    len: usize,
    mut access: impl FnMut(&Buffer, usize, std::ops::Range<usize>) -> Result<(), VolatileMemoryError>,
) -> Result<(), PayloadError> {
    let end = offset.saturating_add(len);
    let available = total(buffers);
    if end > available {
        return Err(PayloadError::OutOfRange {
            offset,
            end,
            available,
        });
    }
    let mut start_of_buffer = 0;
    for buffer in buffers {
        let end_of_buffer = start_of_buffer + buffer.len as usize;
        let from = offset.max(start_of_buffer);
        let to = end.min(end_of_buffer);
        if from < to {
            let piece = access(buffer, from - start_of_buffer, from - offset..to - offset);
            piece.map_err(PayloadError::Memory)?;
        }
        start_of_buffer = end_of_buffer;
        if to == end {
            break;
        }
    }
    Ok(())
}
