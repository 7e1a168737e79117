// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What polling a queue brings.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The time of a request with and without polling, in nanoseconds; 0 for not known yet.
#[derive(Debug, Default)]
pub struct PollTimes {
    with: AtomicU64,
    without: AtomicU64,
}

impl PollTimes {
    /// The mean time from one request to the next in the last block served with polling, or without.
    #[must_use]
    pub fn get(&self, polled: bool) -> Option<Duration> {
        let cell = if polled { &self.with } else { &self.without };
        let nanos = cell.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    pub(crate) fn set(&self, polled: bool, time: Duration) {
        let cell = if polled { &self.with } else { &self.without };
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        cell.store(nanos, Ordering::Relaxed);
    }
}
