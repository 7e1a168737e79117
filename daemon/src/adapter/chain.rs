// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reads a descriptor chain, once, and checks it.

use std::sync::Arc;

use virtio_queue::DescriptorChain;
use vm_memory::{Address, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use virtiofsd::fuse::{InHeader, OutHeader};

use super::buffers::{Buffer, Buffers, ChainBuffers, HeadIndex, total};
use super::memory::TransportMemory;
use super::outside::{Direction, Fault, Mapped, locate};

/// The longest accepted chain, in buffers. The largest FUSE request has some 260.
pub const MAX_BUFFERS: usize = 32768;

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

/// A chain that is being read.
struct Reading<'a> {
    /// The request so far. Borrowed, because to move it costs as much as to read a chain.
    request: &'a mut ChainBuffers,
    mapped: Option<&'a dyn Mapped>,
    /// How many bytes of each direction have an address where nothing is.
    missing: [usize; 2],
}

impl ChainBuffers {
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
