// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Adaptive coalescing: whether a guest is notified of each finished request, or of a batch.
//!
//! A notification wakes a virtual CPU and costs about as much as a GETATTR. While requests are quick,
//! those that come one after another are notified in batches; each is delayed by the few that follow
//! it. A slow request (a cold cache, a slow or throttled disk) would delay the others by as much. So
//! after a slow request each one is notified at once, until many quick ones in a row were seen. A
//! request that nothing follows is always notified at once. A batch that a very slow request would hold
//! back is notified by [`crate::ring::reminder`].
//!
//! Owner: the ring; the one thread that serves it reports the times.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::ring::vring::Notify;

/// A request that takes longer is slow. The limit is many times the time of a request that does not
/// wait.
const QUICK: Duration = Duration::from_micros(100);
/// Quick requests in a row after which coalescing begins again.
const MAKE_UP: u32 = 16;
/// A new time has the weight 1 of so many in the mean.
const WEIGHT: u32 = 8;

/// How quickly a ring's recent requests were served.
#[derive(Debug)]
pub(crate) struct Coalescing {
    /// Quick requests still to come before the next batch.
    owed: AtomicU32,
    /// Nanoseconds that a quick request takes, averaged over the recent ones.
    mean: AtomicU32,
}

impl Coalescing {
    /// Begins without coalescing.
    pub(crate) fn new() -> Self {
        Self {
            owed: AtomicU32::new(MAKE_UP),
            mean: AtomicU32::new(QUICK.as_nanos() as u32),
        }
    }

    /// When the guest is to be notified of the next request.
    pub(crate) fn notify(&self) -> Notify {
        if self.owed.load(Ordering::Relaxed) == 0 {
            Notify::Later
        } else {
            Notify::Now
        }
    }

    /// The time that a quick request takes, from one to the next.
    pub(crate) fn mean(&self) -> Duration {
        Duration::from_nanos(self.mean.load(Ordering::Relaxed).into())
    }

    /// Whether a request that took this long delays others noticeably.
    pub(crate) fn is_slow(took: Duration) -> bool {
        took > QUICK
    }

    /// Records the time in which a request was served; returns whether it was slow.
    pub(crate) fn note(&self, took: Duration) -> bool {
        let slow = Self::is_slow(took);
        let owed = self.owed.load(Ordering::Relaxed);
        let owed = if slow {
            MAKE_UP
        } else {
            owed.saturating_sub(1)
        };
        self.owed.store(owed, Ordering::Relaxed);
        if !slow {
            let mean = self.mean.load(Ordering::Relaxed);
            // Quick, so it fits.
            let took = took.as_nanos() as u32;
            let mean = mean - mean / WEIGHT + took / WEIGHT;
            self.mean.store(mean, Ordering::Relaxed);
        }
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(3);
    const LONG: Duration = Duration::from_millis(3);

    #[test]
    fn the_mean_follows_quick_requests_and_no_slow_one() {
        let coalescing = Coalescing::new();
        let near = |expected: Duration| {
            let mean = coalescing.mean();
            assert!(mean.abs_diff(expected) < expected / 50, "{mean:?}");
        };
        for took in [SHORT, 10 * SHORT, SHORT] {
            for _ in 0..100 {
                coalescing.note(took);
            }
            near(took);
        }
        coalescing.note(LONG);
        near(SHORT);
    }

    #[test]
    fn the_limit_itself_is_quick() {
        assert!(!Coalescing::is_slow(QUICK));
        assert!(Coalescing::is_slow(QUICK + Duration::from_nanos(1)));
    }

    #[test]
    fn only_many_quick_requests_in_a_row_are_coalesced() {
        let coalescing = Coalescing::new();
        for _ in 0..MAKE_UP {
            assert_eq!(coalescing.notify(), Notify::Now);
            assert!(!coalescing.note(SHORT));
        }
        assert_eq!(coalescing.notify(), Notify::Later);
        assert!(!coalescing.note(SHORT));
        assert_eq!(coalescing.notify(), Notify::Later);
        assert!(coalescing.note(LONG), "slow");
        assert_eq!(coalescing.notify(), Notify::Now);
        assert!(!coalescing.note(SHORT));
        assert_eq!(coalescing.notify(), Notify::Now);
    }
}
