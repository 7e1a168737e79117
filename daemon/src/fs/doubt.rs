// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long no file of a device is promised after a failure that may be temporary.
//!
//! A VMM gives no reason when it refuses a mapping: it may lack a resource for a moment, or its
//! confinement may forbid these files for good. Each try costs the guest an I/O error, so repeated
//! failures are retried at longer and longer intervals.

use std::time::{Duration, Instant};

/// The first wait, and the longest.
const WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(600));

/// A time until which files of a device are not promised.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doubt {
    since: Instant,
    wait: Duration,
}

impl Doubt {
    /// A doubt that starts now. It lasts twice as long as the one before, unless that one ended
    /// long ago.
    pub(super) fn after(before: Option<Self>) -> Self {
        Self::at(Instant::now(), before)
    }

    fn at(now: Instant, before: Option<Self>) -> Self {
        let recent = before.filter(|doubt| now < doubt.since + doubt.wait + WAITS.1);
        Self {
            since: now,
            wait: recent.map_or(WAITS.0, |doubt| WAITS.1.min(2 * doubt.wait)),
        }
    }

    /// Whether the doubt is not over yet.
    pub(super) fn lasts(self) -> bool {
        Instant::now() < self.since + self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::{Doubt, Instant, WAITS};

    #[test]
    fn doubts_that_come_again_last_longer_up_to_a_limit() {
        let mut now = Instant::now();
        let mut doubt = Doubt::at(now, None);
        assert_eq!(doubt.wait, WAITS.0);
        assert!(doubt.lasts());
        for _ in 0..20 {
            now += doubt.wait;
            let next = Doubt::at(now, Some(doubt));
            assert_eq!(next.wait, WAITS.1.min(2 * doubt.wait));
            doubt = next;
        }
        assert_eq!(doubt.wait, WAITS.1);
        let much_later = now + doubt.wait + WAITS.1;
        assert_eq!(Doubt::at(much_later, Some(doubt)).wait, WAITS.0);
    }
}
