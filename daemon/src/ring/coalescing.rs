// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! When a guest is notified of finished requests: at once, or of several in a batch.
//!
//! To wake a guest costs about as much as to serve a GETATTR. While requests are served as quickly
//! as that, those that come one after another are notified in batches, which delays each by the time
//! of the few that follow it. A request that takes long (a cold cache, a slow or throttled disk)
//! would delay others by as much; so after one of these each is notified at once, until many quick
//! ones in a row have been seen. A request that nothing follows is always notified at once, and those
//! that are followed by one that takes very long are notified meanwhile by [`crate::ring::reminder`].
//!
//! Owner: the ring; the one thread that serves it notes what it sees.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::ring::vring::Telling;

/// A request that takes longer is slow: many times what one takes that waits for nothing.
const QUICK: Duration = Duration::from_micros(100);
/// Quick requests in a row that make up for a slow one.
const MAKE_UP: u32 = 16;

/// How quickly a ring's requests have been served lately.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Quick ones still to come before any are told of together.
    owed: AtomicU32,
}

impl Pace {
    /// Not yet convinced of anything.
    pub(crate) fn new() -> Self {
        Self {
            owed: AtomicU32::new(MAKE_UP),
        }
    }

    /// How the next request is to be told of.
    pub(crate) fn telling(&self) -> Telling {
        if self.owed.load(Ordering::Relaxed) == 0 {
            Telling::Later
        } else {
            Telling::Now
        }
    }

    /// A request has been served in this time; returns whether it was slow.
    pub(crate) fn note(&self, took: Duration) -> bool {
        let slow = took > QUICK;
        let owed = self.owed.load(Ordering::Relaxed);
        let owed = if slow {
            MAKE_UP
        } else {
            owed.saturating_sub(1)
        };
        self.owed.store(owed, Ordering::Relaxed);
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(3);
    const LONG: Duration = Duration::from_millis(3);

    #[test]
    fn only_many_quick_requests_in_a_row_are_told_of_together() {
        let pace = Pace::new();
        for _ in 0..MAKE_UP {
            assert_eq!(pace.telling(), Telling::Now);
            assert!(!pace.note(SHORT));
        }
        assert_eq!(pace.telling(), Telling::Later);
        assert!(!pace.note(SHORT));
        assert_eq!(pace.telling(), Telling::Later);
        assert!(pace.note(LONG), "slow");
        assert_eq!(pace.telling(), Telling::Now);
        assert!(!pace.note(SHORT));
        assert_eq!(pace.telling(), Telling::Now);
    }
}
