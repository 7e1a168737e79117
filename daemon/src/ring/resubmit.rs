// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The chain of a request that another daemon has taken off the available ring.
//!
//! The head of the chain is known, but the ring may have another head in its place by now, and
//! virtio-queue can make a chain only by taking it off a ring. So the chain gets a ring of one
//! entry, in a page of our own. A copy of the memory table has that page where no guest memory is.

use std::sync::Arc;

use virtio_queue::{DescriptorChain, Queue, QueueOwnedT as _};
use vm_memory::{Bytes as _, GuestAddress, GuestRegionMmap};

use crate::adapter::{HeadIndex, TransportMemory};

const PLACE: GuestAddress = GuestAddress(0xffff_ffff_ffff_0000);
const PAGE: usize = 4096;

/// The chain cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("a request that was under way cannot be taken up")]
pub(crate) struct NotAgain;

/// The chain that begins with the descriptor `head` of the queue's table.
pub(crate) fn chain(
    queue: &Queue,
    memory: &Arc<TransportMemory>,
    head: HeadIndex,
) -> Result<DescriptorChain<Arc<TransportMemory>>, NotAgain> {
    let page = GuestRegionMmap::from_range(PLACE, PAGE, None).map_err(|_| NotAgain)?;
    let table = memory.insert_region(Arc::new(page)).map_err(|_| NotAgain)?;
    let ring = [0, 1, head.0].map(u16::to_le_bytes).concat();
    table.write_slice(&ring, PLACE).map_err(|_| NotAgain)?;
    let mut state = queue.state();
    state.avail_ring = PLACE.0;
    state.next_avail = 0;
    let mut queue = Queue::try_from(state).map_err(|_| NotAgain)?;
    let chain = queue.iter(Arc::new(table)).map_err(|_| NotAgain)?.next();
    chain.ok_or(NotAgain)
}
