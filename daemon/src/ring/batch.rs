// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many finished requests one notification covers.
//!
//! Coalescing N completions into one interrupt saves N-1 eventfd writes. The batch is at most half the
//! queue depth, so the guest refills one half while the daemon serves the other; no request waits longer
//! for its notification than it waited on the ring. The depth is the number of requests that wait on the
//! ring, plus those of the last batch, which the guest replaces.
//!
//! A guest that is notified begins to replace requests only when a virtual CPU has woken up. If requests
//! are so quick that the daemon would have served the other half by then, the batch is smaller: what is
//! left on the ring lasts for [`WAKE_UP`].
//!
//! Owner: the ring. Everything is changed with the vring's lock held, hence the relaxed orderings.
//! Whether the batch is empty may be read without the lock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The smallest batch of requests that follow one another.
const FEW: u32 = 8;
/// The largest batch.
const MANY: u32 = 64;
/// From a notification until the guest's first new request is on the ring. In a prototype the daemon had
/// no work for a while when 16 GETATTRs of 1.85 us were left, and was quickest when 21 were.
const WAKE_UP: Duration = Duration::from_micros(40);

/// The requests of a ring that were returned and whose notification is pending.
#[derive(Debug)]
pub(crate) struct NotificationBatch {
    pending: AtomicU32,
    /// How many requests the batch is to have.
    wanted: AtomicU32,
    /// How many requests the last batch had.
    last: AtomicU32,
    /// How many notifications there were.
    number: AtomicU32,
}

/// The identity of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchNumber(u32);

impl NotificationBatch {
    /// An empty batch.
    pub(crate) fn new() -> Self {
        Self {
            pending: AtomicU32::new(0),
            wanted: AtomicU32::new(FEW),
            last: AtomicU32::new(0),
            number: AtomicU32::new(0),
        }
    }

    /// Whether no request waits for its notification.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.load(Ordering::Relaxed) == 0
    }

    /// The batch, if it is not empty. Without the vring's lock it may be a little old.
    pub(crate) fn number(&self) -> Option<BatchNumber> {
        let number = BatchNumber(self.number.load(Ordering::Relaxed));
        (!self.is_empty()).then_some(number)
    }

    /// Begins a batch: its first request was taken off the ring, where `waiting` others wait. A request
    /// takes `time`.
    pub(crate) fn begin(&self, waiting: u16, time: Duration) {
        let under_way = 1 + u32::from(waiting) + self.last.load(Ordering::Relaxed);
        let left = WAKE_UP.as_nanos() as u32 / (time.as_nanos() as u32).max(1);
        let wanted = (under_way / 2)
            .min(under_way.saturating_sub(left))
            .clamp(FEW, MANY);
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// Adds one request that was returned. True if the batch is large enough.
    pub(crate) fn add(&self) -> bool {
        let pending = self.pending.load(Ordering::Relaxed) + 1;
        self.pending.store(pending, Ordering::Relaxed);
        pending >= self.wanted.load(Ordering::Relaxed)
    }

    /// Empties the batch for a notification; returns how many requests it had.
    pub(crate) fn take(&self) -> u32 {
        let pending = self.pending.load(Ordering::Relaxed);
        if pending > 0 {
            self.pending.store(0, Ordering::Relaxed);
            self.last.store(pending, Ordering::Relaxed);
            let number = self.number.load(Ordering::Relaxed);
            self.number.store(number.wrapping_add(1), Ordering::Relaxed);
        }
        pending
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, FEW, MANY, NotificationBatch, WAKE_UP};

    /// Requests of this time last for the wake-up, however few are left.
    const LASTING: Duration = WAKE_UP;

    /// Returns requests while `waiting` others wait, until there are enough; how many these were.
    fn fill(batch: &NotificationBatch, waiting: u32) -> u32 {
        fill_quickly(batch, waiting, LASTING)
    }

    fn fill_quickly(batch: &NotificationBatch, waiting: u32, time: Duration) -> u32 {
        batch.begin(waiting as u16, time);
        while !batch.add() {}
        batch.take()
    }

    #[test]
    fn few_are_told_of_by_eight() {
        let batch = NotificationBatch::new();
        for waiting in [0, 3, 7] {
            assert_eq!(fill(&batch, waiting), FEW);
        }
    }

    #[test]
    fn of_a_guest_that_keeps_many_under_way_it_is_half() {
        let batch = NotificationBatch::new();
        for depth in [24, 32, 48, 100] {
            // A first burst. From then on the guest replaces each batch of replies by as many
            // requests.
            let mut told = fill(&batch, depth - 1);
            for _ in 0..4 {
                told = fill(&batch, depth - told - 1);
                assert_eq!(told, depth / 2, "at depth {depth}");
            }
        }
    }

    #[test]
    fn what_is_left_of_quick_requests_lasts_until_the_guest_is_awake() {
        for (depth, divisor, expected) in [(32, 10, 16), (32, 20, 12), (32, 40, FEW), (64, 40, 24)]
        {
            let batch = NotificationBatch::new();
            let mut told = fill_quickly(&batch, depth - 1, WAKE_UP / divisor);
            for _ in 0..4 {
                told = fill_quickly(&batch, depth - told - 1, WAKE_UP / divisor);
                assert_eq!(told, expected, "at depth {depth}, a {divisor}th each");
            }
        }
    }

    #[test]
    fn a_guest_with_an_absurd_number_is_told_of_no_more_than_many() {
        assert_eq!(fill(&NotificationBatch::new(), u16::MAX.into()), MANY);
    }

    #[test]
    fn a_ring_that_runs_dry_begins_anew() {
        let batch = NotificationBatch::new();
        fill(&batch, 63);
        batch.begin(0, LASTING);
        assert!(!batch.add());
        assert_eq!(batch.take(), 1);
        assert!(batch.is_empty());
        assert_eq!(batch.take(), 0, "nothing to tell");
        assert_eq!(fill(&batch, 9), FEW, "what was told before is forgotten");
    }
}
