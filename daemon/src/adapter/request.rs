// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A descriptor chain, read once and checked.

use std::io;
use std::sync::Arc;

use smallvec::SmallVec;
use virtio_queue::DescriptorChain;
use vm_memory::bitmap::Bitmap;
use vm_memory::{
    Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, VolatileMemoryError,
    VolatileSlice,
};

use virtiofsd::fuse::{InHeader, OutHeader};
use vm_memory_017::ByteValued;

use super::memory::TransportMemory;
use super::outside::{Direction, Fault, Mapped, Outside, locate};

/// The longest accepted chain, in buffers. The largest FUSE request has some 260.
pub const MAX_BUFFERS: usize = 32768;

/// Up to this many buffers of one direction need no allocation: a header and two pages, and some
/// more.
pub(super) const INLINE_BUFFERS: usize = 8;

/// The buffers of one direction, in the order of their bytes.
type Buffers = SmallVec<[Buffer; INLINE_BUFFERS]>;

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
    /// [`Request::mark_written`].
    fn bytes<'a>(&self, _memory: &'a TransportMemory, skip: usize) -> VolatileSlice<'a> {
        let len = (self.len as usize).saturating_sub(skip);
        let start = self.host.wrapping_add(self.len as usize - len);
        // SAFETY: `split` looked these bytes up in the request's memory, which owns the mapping and
        // is borrowed for as long as the slice lives.
        unsafe { VolatileSlice::new(start, len) }
    }
}

/// Why a chain is not a request.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum ChainError {
    /// No descriptor could be read, or none of them has a byte.
    #[error("the descriptor chain is empty")]
    Empty,
    /// The chain's next descriptor cannot be read: a loop, an index outside the table, a table
    /// outside guest memory, an indirect table within another, or more than 4 GiB.
    #[error("the descriptor chain breaks off after {read} descriptors")]
    BreaksOff {
        /// Descriptors read before.
        read: usize,
    },
    /// VIRTIO 1.2, 2.7.4.2: device-writable descriptors come last.
    #[error("descriptor {index} is readable but follows a writable one")]
    ReadableAfterWritable {
        /// Position in the chain.
        index: usize,
    },
    /// More pieces than [`MAX_BUFFERS`].
    #[error("the descriptor chain has more than {MAX_BUFFERS} buffers")]
    TooLong,
    /// A buffer that is not entirely in guest memory.
    #[error("{len} bytes at {addr:#x} are not guest memory")]
    OutsideMemory {
        /// Guest address where memory ends.
        addr: u64,
        /// Bytes that are missing.
        len: u64,
    },
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
pub struct Request {
    head: HeadIndex,
    memory: Arc<TransportMemory>,
    readable: Buffers,
    writable: Buffers,
    /// The parts in mapped files; `None` for nearly every request.
    outside: Option<Box<Outside>>,
}

/// A chain that is being read.
struct Reading<'a> {
    /// The request so far. Borrowed, because to move it costs as much as to read a chain.
    request: &'a mut Request,
    mapped: Option<&'a dyn Mapped>,
    /// How many bytes of each direction have an address where nothing is.
    missing: [usize; 2],
}

impl Request {
    /// Copies the descriptors of `chain`, all of whose buffers have to be in `memory`.
    ///
    /// # Errors
    /// If the chain is not well formed or has bytes outside guest memory.
    pub fn read(
        chain: DescriptorChain<Arc<TransportMemory>>,
        memory: Arc<TransportMemory>,
    ) -> Result<Self, ChainError> {
        Self::read_with(chain, memory, None)
    }

    /// Copies the descriptors of `chain`. Buffers outside `memory` are looked up in the files of
    /// `mapped`: see `outside.rs`.
    ///
    /// A descriptor that spans adjacent regions (two DAX ranges side by side, say) becomes
    /// several buffers.
    ///
    /// # Errors
    /// If the chain is not well formed, or a header would lie outside guest memory. A request that
    /// can be answered, but not served, has a [`Self::fault`].
    pub fn read_with(
        chain: DescriptorChain<Arc<TransportMemory>>,
        memory: Arc<TransportMemory>,
        mapped: Option<&dyn Mapped>,
    ) -> Result<Self, ChainError> {
        let mut request = Self {
            head: HeadIndex(chain.head_index()),
            memory,
            readable: Buffers::new(),
            writable: Buffers::new(),
            outside: None,
        };
        let mut reading = Reading {
            request: &mut request,
            mapped,
            missing: [0; 2],
        };
        let mut read = 0;
        let mut promises_another = false;
        for descriptor in chain {
            let direction = if descriptor.is_write_only() {
                Direction::Writable
            } else if reading.is_empty(Direction::Writable) {
                Direction::Readable
            } else {
                return Err(ChainError::ReadableAfterWritable { index: read });
            };
            reading.split(descriptor.addr(), descriptor.len(), direction)?;
            if reading.request.readable.len() + reading.request.writable.len() > MAX_BUFFERS {
                return Err(ChainError::TooLong);
            }
            read += 1;
            promises_another = descriptor.has_next();
        }
        if promises_another {
            return Err(ChainError::BreaksOff { read });
        }
        if reading.is_empty(Direction::Readable) && reading.is_empty(Direction::Writable) {
            return Err(ChainError::Empty);
        }
        request.fetch();
        Ok(request)
    }

    /// Reads the parts in files into private memory.
    fn fetch(&mut self) {
        let Some(outside) = &mut self.outside else {
            return;
        };
        match outside.fill(&self.memory) {
            Ok(Some(memory)) => {
                locate(&mut self.readable, &memory);
                locate(&mut self.writable, &memory);
                self.memory = Arc::new(memory);
            }
            Ok(None) => {}
            Err(fault) => {
                outside.fail(fault);
            }
        }
        // Without private memory these have no address.
        self.readable.retain(|buffer| !buffer.host.is_null());
        self.writable.retain(|buffer| !buffer.host.is_null());
    }

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

impl Reading<'_> {
    fn is_empty(&self, direction: Direction) -> bool {
        self.buffers(direction).is_empty() && self.missing[direction as usize] == 0
    }

    fn buffers(&self, direction: Direction) -> &Buffers {
        match direction {
            Direction::Readable => &self.request.readable,
            Direction::Writable => &self.request.writable,
        }
    }

    fn push(&mut self, direction: Direction, buffer: Buffer) {
        match direction {
            Direction::Readable => self.request.readable.push(buffer),
            Direction::Writable => self.request.writable.push(buffer),
        }
    }

    /// Appends the `len` bytes at `addr`, cut at region boundaries.
    fn split(
        &mut self,
        mut addr: GuestAddress,
        len: u32,
        direction: Direction,
    ) -> Result<(), ChainError> {
        let mut left = u64::from(len);
        while left > 0 {
            let outside = ChainError::OutsideMemory {
                addr: addr.raw_value(),
                len: left,
            };
            let here = match self.request.memory.to_region_addr(addr) {
                Some((region, offset)) => {
                    let here = left.min(region.len() - offset.raw_value());
                    // The offset is one of the region's own.
                    let host = region.get_host_address(offset).map_err(|_| outside)?;
                    let buffer = Buffer {
                        addr,
                        // At most `len`, which is a u32.
                        len: here as u32,
                        host,
                    };
                    self.push(direction, buffer);
                    here
                }
                None => self.split_outside(addr, left, direction)?,
            };
            left -= here;
            match addr.checked_add(here) {
                Some(next) => addr = next,
                None if left == 0 => {}
                None => return Err(outside),
            }
            if self.buffers(direction).len() > MAX_BUFFERS {
                return Err(ChainError::TooLong);
            }
        }
        Ok(())
    }

    /// [`Self::split`] for an address that is no memory; returns how many bytes it has handled.
    /// Bytes where nothing is are left out, if the request can be answered without them.
    #[cold]
    fn split_outside(
        &mut self,
        addr: GuestAddress,
        len: u64,
        direction: Direction,
    ) -> Result<u64, ChainError> {
        let before = total(self.buffers(direction)) + self.missing[direction as usize];
        if let Some(mapped) = self.mapped {
            let outside = self.request.outside.get_or_insert_default();
            if let Some(buffer) = outside.place(mapped, addr, len, direction, before) {
                self.push(direction, buffer);
                return Ok(buffer.len.into());
            }
            let needed = match direction {
                Direction::Readable => size_of::<InHeader>(),
                Direction::Writable => size_of::<OutHeader>(),
            };
            if before >= needed {
                let addr = addr.raw_value();
                outside.fail(Fault::Unreachable { addr, len });
                self.missing[direction as usize] += len as usize;
                return Ok(len);
            }
        }
        Err(ChainError::OutsideMemory {
            addr: addr.raw_value(),
            len,
        })
    }
}

fn total(buffers: &[Buffer]) -> usize {
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
