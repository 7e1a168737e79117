// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many finished requests a guest is told of together.
//!
//! Each but one saves a system call that wakes somebody. With many under way it is half of them:
//! the guest deals with one half while the other is served, so neither side waits for the other,
//! and no request is held back for longer than it has waited anyway. Those under way are the ones
//! that wait on the ring and the ones that the guest has just been told of, in whose place it puts
//! others.
//!
//! Owner: the ring. Everything is changed with the vring's lock held, hence the relaxed orderings;
//! that there is nothing to tell may be seen without it.

use std::sync::atomic::{AtomicU32, Ordering};

/// So many that follow one another are told of together, however few are waiting.
const FEW: u32 = 8;
/// And no more than these, however many are waiting.
const MANY: u32 = 64;

/// The requests of a ring that have been returned and not been told of.
#[derive(Debug)]
pub(crate) struct Together {
    untold: AtomicU32,
    /// How many there are to be.
    wanted: AtomicU32,
    /// How many there were when the guest was told the last time.
    told: AtomicU32,
    /// How often the guest has been told.
    batch: AtomicU32,
}

/// Requests that were returned, until the guest is notified of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Batch(u32);

impl Together {
    /// Nothing is to be told.
    pub(crate) fn new() -> Self {
        Self {
            untold: AtomicU32::new(0),
            wanted: AtomicU32::new(FEW),
            told: AtomicU32::new(0),
            batch: AtomicU32::new(0),
        }
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_empty(&self) -> bool {
        self.untold.load(Ordering::Relaxed) == 0
    }

    /// What is to be told, if anything is. Without the vring's lock it may be a little old.
    pub(crate) fn batch(&self) -> Option<Batch> {
        let batch = Batch(self.batch.load(Ordering::Relaxed));
        (!self.is_empty()).then_some(batch)
    }

    /// The first of some is taken off the ring, where so many others wait.
    pub(crate) fn begin(&self, waiting: u16) {
        let under_way = 1 + u32::from(waiting) + self.told.load(Ordering::Relaxed);
        let wanted = (under_way / 2).clamp(FEW, MANY);
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    /// One more has been returned. True if there are enough.
    pub(crate) fn add(&self) -> bool {
        let untold = self.untold.load(Ordering::Relaxed) + 1;
        self.untold.store(untold, Ordering::Relaxed);
        untold >= self.wanted.load(Ordering::Relaxed)
    }

    /// The guest is about to be told of all that there are; how many these are.
    pub(crate) fn take(&self) -> u32 {
        let untold = self.untold.load(Ordering::Relaxed);
        if untold > 0 {
            self.untold.store(0, Ordering::Relaxed);
            self.told.store(untold, Ordering::Relaxed);
            let batch = self.batch.load(Ordering::Relaxed);
            self.batch.store(batch.wrapping_add(1), Ordering::Relaxed);
        }
        untold
    }
}

#[cfg(test)]
mod tests {
    use super::{FEW, MANY, Together};

    /// Returns requests while `waiting` others wait, until there are enough; how many these were.
    fn batch(together: &Together, waiting: u32) -> u32 {
        together.begin(waiting as u16);
        while !together.add() {}
        together.take()
    }

    #[test]
    fn few_are_told_of_by_eight() {
        let together = Together::new();
        for waiting in [0, 3, 7] {
            assert_eq!(batch(&together, waiting), FEW);
        }
    }

    #[test]
    fn of_a_guest_that_keeps_many_under_way_it_is_half() {
        let together = Together::new();
        for depth in [24, 32, 48, 100] {
            // A first burst, then each batch of answers is replaced by as many requests.
            let mut told = batch(&together, depth - 1);
            for _ in 0..4 {
                told = batch(&together, depth - told - 1);
                assert_eq!(told, depth / 2, "at depth {depth}");
            }
        }
    }

    #[test]
    fn a_guest_with_an_absurd_number_is_told_of_no_more_than_many() {
        assert_eq!(batch(&Together::new(), u16::MAX.into()), MANY);
    }

    #[test]
    fn a_ring_that_runs_dry_begins_anew() {
        let together = Together::new();
        batch(&together, 63);
        together.begin(0);
        assert!(!together.add());
        assert_eq!(together.take(), 1);
        assert!(together.is_empty());
        assert_eq!(together.take(), 0, "nothing to tell");
        assert_eq!(
            batch(&together, 9),
            FEW,
            "what was told before is forgotten"
        );
    }
}
