// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Durations, counted by length.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of all buckets but the last, in nanoseconds: from 1 µs to 10 s.
pub const BOUNDS: [u64; 22] = [
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];
/// One more, for what is longer than the longest bound.
const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts durations. Lock-free: written by any thread, read by any other.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

/// The durations of a histogram, as they were when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Durations of each bucket alone, by [`BOUNDS`]; the last are those beyond all bounds.
    pub buckets: [u64; BUCKETS],
    /// The sum of the durations.
    pub sum: Duration,
}

impl Histogram {
    /// Counts one. Saturates after 584 years of them.
    pub(crate) fn record(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanoseconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Distribution {
        Distribution {
            buckets: std::array::from_fn(|at| self.buckets[at].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
        }
    }
}

impl Distribution {
    /// How many durations there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BOUNDS, BUCKETS, Histogram};

    #[test]
    fn a_bound_belongs_to_its_own_bucket() {
        let histogram = Histogram::default();
        let all = [0, 1_000, 1_001, 2_500, 10_000_000_000, 10_000_000_001];
        for nanoseconds in all {
            histogram.record(Duration::from_nanos(nanoseconds));
        }
        let read = histogram.read();
        let mut expected = [0; BUCKETS];
        expected[0] = 2;
        expected[1] = 2;
        expected[BUCKETS - 2] = 1;
        expected[BUCKETS - 1] = 1;
        assert_eq!(read.buckets, expected);
        assert_eq!(read.sum, Duration::from_nanos(all.iter().sum()));
        assert_eq!(read.count(), 6);
        assert!(BOUNDS.is_sorted());
    }
}
