// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Passes a checked request to virtiofsd's `Reader` and `Writer`.
//!
//! virtio-queue 0.17 can make a descriptor chain only by popping it off a ring. So every thread
//! that serves requests owns a small ring in private memory, which no guest can reach. The thread
//! writes the request's descriptors to that ring and pops them.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use virtio_bindings::bindings::virtio_ring::{VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use virtio_queue_017::desc::split::Descriptor;
use virtio_queue_017::{DescriptorChain, Error as QueueError, Queue, QueueOwnedT, QueueT};
use virtiofsd::descriptor_utils::{Error as DescriptorError, Reader, Writer};
use vm_memory::Address as _;
use vm_memory_017::mmap::FromRangesError;
use vm_memory_017::{Bytes, GuestAddress, GuestMemoryError, GuestMemoryMmap};

use super::buffers::{Buffer, ChainBuffers};
use super::chain::MAX_BUFFERS;
use super::memory::{ShadowMemory, ShadowMemoryError};

/// A checked request could not be passed on. Each of these is our own fault, not the guest's.
#[derive(Debug, thiserror::Error)]
pub enum ChainCopyError {
    /// No memory for this thread's ring.
    #[error("cannot allocate the private ring")]
    Allocate(#[source] FromRangesError),
    /// The ring's set-up was refused.
    #[error("cannot set up the private ring")]
    SetUp(#[source] QueueError),
    /// A descriptor could not be written to the ring.
    #[error("cannot write to the private ring")]
    Write(#[source] GuestMemoryError),
    /// The chain just written did not come out again.
    #[error("cannot pop the chain of {buffers} buffers off the private ring")]
    Pop {
        /// Length of the chain.
        buffers: usize,
    },
    /// The memory that the request is in cannot be shown to virtiofsd.
    #[error(transparent)]
    ShadowMemory(#[from] ShadowMemoryError),
    /// virtiofsd refused the chain.
    #[error("cannot open the request")]
    Open(#[source] DescriptorError),
}

const DESCRIPTOR_SIZE: usize = size_of::<Descriptor>();
const TABLE: GuestAddress = GuestAddress(0);
const TABLE_SIZE: usize = MAX_BUFFERS * DESCRIPTOR_SIZE;
/// VIRTIO 1.2, 2.7.6: le16 flags, le16 idx, le16 ring[].
const AVAIL: GuestAddress = GuestAddress(TABLE_SIZE as u64);
const AVAIL_IDX: GuestAddress = GuestAddress(TABLE_SIZE as u64 + 2);
const RING_SIZE: usize = TABLE_SIZE + 8;

/// A ring that holds one chain, whose head is descriptor 0.
struct PrivateRing {
    memory: GuestMemoryMmap,
    queue: Queue,
}

impl PrivateRing {
    fn new() -> Result<Self, ChainCopyError> {
        let memory = GuestMemoryMmap::from_ranges(&[(TABLE, RING_SIZE)])
            .map_err(ChainCopyError::Allocate)?;
        let mut queue = Queue::new(MAX_BUFFERS as u16).map_err(ChainCopyError::SetUp)?;
        queue
            .try_set_desc_table_address(TABLE)
            .map_err(ChainCopyError::SetUp)?;
        queue
            .try_set_avail_ring_address(AVAIL)
            .map_err(ChainCopyError::SetUp)?;
        queue.set_ready(true);
        // One entry is always available: each use rewinds the queue to it. Its head index is 0, the
        // value of fresh memory.
        memory
            .store(1_u16.to_le(), AVAIL_IDX, Ordering::Release)
            .map_err(ChainCopyError::Write)?;
        Ok(Self { memory, queue })
    }

    /// Writes the chain and takes it off the ring.
    fn chain(
        &mut self,
        readable: &[Buffer],
        writable: &[Buffer],
    ) -> Result<DescriptorChain<&GuestMemoryMmap>, ChainCopyError> {
        let buffers = readable.len() + writable.len();
        let flagged = readable.iter().map(|buffer| (buffer, 0));
        let flagged = flagged.chain(writable.iter().map(|buffer| (buffer, VRING_DESC_F_WRITE)));
        for (index, (buffer, flags)) in flagged.enumerate() {
            let last = index + 1 == buffers;
            let flags = if last {
                flags
            } else {
                flags | VRING_DESC_F_NEXT
            };
            // `ChainBuffers` holds at most MAX_BUFFERS, which a u16 can count.
            let next = if last { 0 } else { index as u16 + 1 };
            let descriptor =
                Descriptor::new(buffer.addr.raw_value(), buffer.len, flags as u16, next);
            let at = GuestAddress((index * DESCRIPTOR_SIZE) as u64);
            self.memory
                .write_obj(descriptor, at)
                .map_err(ChainCopyError::Write)?;
        }
        self.queue.set_next_avail(0);
        self.queue
            .iter(&self.memory)
            .ok()
            .and_then(|mut chains| chains.next())
            .ok_or(ChainCopyError::Pop { buffers })
    }
}

thread_local! {
    static RING: RefCell<Option<PrivateRing>> = const { RefCell::new(None) };
}

/// Calls `serve` with the request opened for virtiofsd's server.
///
/// # Errors
/// If the request cannot be opened; `serve` was not called then.
pub fn with_reader_and_writer<T>(
    request: &ChainBuffers,
    serve: impl FnOnce(Reader<'_>, Writer<'_>) -> T,
) -> Result<T, ChainCopyError> {
    RING.with_borrow_mut(|slot| {
        let ring = match slot {
            Some(ring) => ring,
            None => slot.insert(PrivateRing::new()?),
        };
        let (readable, writable) = request.buffers();
        let chain = ring.chain(readable, writable)?;
        let buffers = readable.iter().chain(writable);
        let mirror = ShadowMemory::of(request.memory(), buffers.map(|buffer| buffer.addr))?;
        let reader = Reader::new(mirror.server(), chain.clone()).map_err(ChainCopyError::Open)?;
        let writer = Writer::new(mirror.server(), chain).map_err(ChainCopyError::Open)?;
        Ok(serve(reader, writer))
    })
}
