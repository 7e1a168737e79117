// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a ring records for the next daemon, and how it takes up what an earlier daemon has left.
//!
//! The head of such a request is known, but the available ring may have another head in its place by
//! now, and virtio-queue can make a chain only by taking it off a ring. So the chain gets a ring of
//! one entry, in a page of our own. A copy of the memory table has that page where no guest memory
//! is.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use virtio_queue::{Queue, QueueT as _};
use vm_memory::{Address as _, Bytes as _, GuestAddress, GuestRegionMmap};

use crate::adapter::{HeadIndex, TransportMemory};
use crate::ring::inflight::{Inflight, QueueLog};

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

/// A ring's use of the memory. Its methods are called with the vring's lock held.
#[derive(Default)]
pub(crate) struct RingLog {
    source: Option<(Arc<Inflight>, usize)>,
    log: Option<QueueLog>,
    /// The ring was started after the log was begun.
    is_due: bool,
    /// Requests of an earlier daemon, to be served before all others.
    again: VecDeque<HeadIndex>,
}

impl RingLog {
    /// Sets the memory and the ring's part of it, from the next start on.
    pub(crate) fn set_place(&mut self, inflight: &Arc<Inflight>, queue: usize) {
        self.source = Some((Arc::clone(inflight), queue));
    }

    /// Records that the ring was started: the log has to be begun before the next request is taken.
    pub(crate) fn start(&mut self) {
        self.is_due = true;
    }

    /// Whether the log has to be begun now; resets the flag.
    pub(crate) fn is_due(&mut self) -> bool {
        std::mem::take(&mut self.is_due)
    }

    /// Whether a log is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.log.is_some()
    }

    /// Begins the log as [`Self::begin`] does, and sets the ring's next available index behind the
    /// recovered requests. The VMM, which does not read the memory, has set that index to the used
    /// ring's index.
    pub(crate) fn begin_on(&mut self, queue: &mut Queue) {
        let left = self.begin(queue.size(), queue.next_used());
        if left > 0 {
            log::warn!("{left} requests were under way when the earlier daemon ended");
            // `left` is at most the queue's size, so it fits.
            queue.set_next_avail(queue.next_used().wrapping_add(left as u16));
        }
    }

    /// Begins the log at a start of the ring. If this is the first start with this memory, recovers
    /// the requests that an earlier daemon left in flight, and returns how many there are.
    fn begin(&mut self, size: u16, used: u16) -> usize {
        let Some((inflight, queue)) = &self.source else {
            return 0;
        };
        let found = inflight.log(*queue, size);
        if let (Some(old), Some(new)) = (&self.log, &found)
            && old.is(new)
        {
            return 0;
        }
        self.log = found;
        let left = self.log.as_mut().map(|log| log.recover(used));
        self.again = left.unwrap_or_default().into();
        self.again.len()
    }

    /// The next recovered request.
    pub(crate) fn next_again(&mut self) -> Option<HeadIndex> {
        self.again.pop_front()
    }

    /// Puts a recovered request back to the front.
    pub(crate) fn put_back(&mut self, head: HeadIndex) {
        self.again.push_front(head);
    }

    pub(crate) fn take(&mut self, head: HeadIndex) {
        if let Some(log) = &mut self.log {
            log.take(head);
        }
    }

    /// Records that the request is being returned. To be called before the used ring moves.
    pub(crate) fn begin_return(&self, head: HeadIndex) {
        if let Some(log) = &self.log {
            log.begin_return(head);
        }
    }

    /// Records that the request was returned. To be called after the used ring has moved; `used` is
    /// its index.
    pub(crate) fn end_return(&self, head: HeadIndex, used: u16) {
        if let Some(log) = &self.log {
            log.end_return(head, used);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use vhost::vhost_user::message::VhostUserInflight;

    use super::*;
    use crate::ring::inflight::tests::{QUEUE_SIZE, memory};

    /// A daemon's log of queue 1, and the requests that it recovers.
    fn daemon((told, file): &(VhostUserInflight, File), used: u16) -> (RingLog, Vec<u16>) {
        let inflight = Arc::new(Inflight::default());
        inflight.install(told, file.try_clone().unwrap()).unwrap();
        let mut log = RingLog::default();
        log.set_place(&inflight, 1);
        log.begin(QUEUE_SIZE, used);
        let again: Vec<_> = log.again.iter().map(|head| head.0).collect();
        (log, again)
    }

    #[test]
    fn what_was_taken_and_not_returned_is_taken_up_in_order() {
        let memory = memory();
        let (mut log, again) = daemon(&memory, 7);
        assert!(again.is_empty());
        for head in [5, 0, 15, 2] {
            log.take(HeadIndex(head));
        }
        log.begin_return(HeadIndex(0));
        log.end_return(HeadIndex(0), 8);
        let (mut log, again) = daemon(&memory, 8);
        assert_eq!(again, [5, 15, 2]);
        log.take(HeadIndex(0));
        assert_eq!(daemon(&memory, 8).1, [5, 15, 2, 0]);
    }

    #[test]
    fn a_request_is_returned_when_the_used_ring_has_it() {
        let memory = memory();
        let (mut log, _) = daemon(&memory, 65535);
        log.take(HeadIndex(3));
        log.take(HeadIndex(4));
        log.begin_return(HeadIndex(3));
        assert_eq!(
            daemon(&memory, 65535).1,
            [3, 4],
            "the used ring has not moved"
        );
        log.begin_return(HeadIndex(3));
        assert_eq!(daemon(&memory, 0).1, [4], "it has");
        assert_eq!(daemon(&memory, 0).1, [4], "and is not unmarked twice");
    }

    #[test]
    fn the_same_daemon_takes_nothing_up_after_a_pause() {
        let memory = memory();
        let (mut log, _) = daemon(&memory, 0);
        log.take(HeadIndex(1));
        let (inflight, _) = log.source.clone().unwrap();
        inflight
            .install(&memory.0, memory.1.try_clone().unwrap())
            .unwrap();
        assert_eq!(log.begin(QUEUE_SIZE, 0), 0);
    }
}
