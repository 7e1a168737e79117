// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The chain of a request that another daemon has taken off the available ring.
//!
//! The head of the chain is known, but the ring may have another head in its place by now, and
//! virtio-queue can make a chain only by taking it off a ring. So the chain gets a ring of one
//! entry, in a page of our own. A copy of the memory table has that page where no guest memory is.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use virtio_queue::Queue;
use vm_memory::{Address as _, Bytes as _, GuestAddress, GuestRegionMmap};

use crate::adapter::{HeadIndex, TransportMemory};

const PLACE: GuestAddress = GuestAddress(0xffff_ffff_ffff_0000);
const PAGE: usize = 4096;

/// A ring whose only entry is the chain.
pub(super) struct Resubmission {
    pub(super) queue: Queue,
    /// The memory table in which the ring and the chain's descriptors are looked up.
    pub(super) table: Arc<TransportMemory>,
}

impl Resubmission {
    /// A ring with the chain that begins with the descriptor `head` of the table of `queue`. None if
    /// the page cannot be mapped, or `memory` has a region in its place.
    pub(super) fn of(queue: &Queue, memory: &TransportMemory, head: HeadIndex) -> Option<Self> {
        let page = GuestRegionMmap::from_range(PLACE, PAGE, None).ok()?;
        let table = memory.insert_region(Arc::new(page)).ok()?;
        // Flags, index, and the entry.
        for (value, offset) in [(0, 0), (1, 2), (head.0, 4)] {
            let at = PLACE.unchecked_add(offset);
            table.store(u16::to_le(value), at, Ordering::Relaxed).ok()?;
        }
        let mut state = queue.state();
        state.avail_ring = PLACE.0;
        state.next_avail = 0;
        Some(Self {
            queue: Queue::try_from(state).ok()?,
            table: Arc::new(table),
        })
    }
}
