// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Latencies of many requests, with a precision of a thousandth, in constant memory.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is distinguished from longer ones.
const LONGEST_NS: u64 = 100_000_000_000;
/// Significant decimal digits.
const DIGITS: u8 = 3;

/// A histogram of latencies.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// An empty histogram.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_max(LONGEST_NS, DIGITS);
        Self(histogram.expect("bounds and digits are such as the crate takes"))
    }

    /// Adds a latency.
    pub fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.record_many(ns, 1);
    }

    /// Adds `count` latencies of about `ns` nanoseconds.
    pub fn record_many(&mut self, ns: u64, count: u64) {
        self.0.saturating_record_n(ns, count);
    }

    /// Adds all latencies of another histogram.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The latency in ns that `percent` of all latencies do not exceed; 0 without latencies.
    pub fn percentile(&self, percent: f64) -> u64 {
        self.0.value_at_quantile(percent / 100.0)
    }

    /// The longest latency in ns; 0 without latencies.
    pub fn max(&self) -> u64 {
        self.0.max()
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ns: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::new();
        for ns in ns {
            latencies.record(Duration::from_nanos(ns));
        }
        latencies
    }

    #[track_caller]
    fn close(found: u64, wanted: u64) {
        let off = found.abs_diff(wanted) as f64 / wanted as f64;
        assert!(off < 0.002, "{found} is not {wanted}");
    }

    #[test]
    fn a_uniform_distribution_has_its_percentiles() {
        let latencies = of((1..=100_000).rev());
        assert_eq!(latencies.count(), 100_000);
        close(latencies.percentile(50.0), 50_000);
        close(latencies.percentile(99.0), 99_000);
        close(latencies.max(), 100_000);
    }

    #[test]
    fn an_exponential_distribution_has_its_percentiles() {
        // The quantile q is -ln(1 - q) times the mean.
        let mean = 20_000.0;
        let count = 50_000;
        let quantile = |n| (-mean * (1.0 - (f64::from(n) + 0.5) / f64::from(count)).ln()) as u64;
        let latencies = of((0..count).map(quantile));
        close(latencies.percentile(50.0), (mean * 2_f64.ln()) as u64);
        close(latencies.percentile(99.0), (mean * 100_f64.ln()) as u64);
    }

    #[test]
    fn what_is_rare_is_in_the_tail_only() {
        let latencies =
            of(std::iter::repeat_n(1_000, 985).chain(std::iter::repeat_n(9_000_000, 15)));
        close(latencies.percentile(50.0), 1_000);
        close(latencies.percentile(99.0), 9_000_000);
    }

    #[test]
    fn percentiles_are_of_all_parts() {
        let mut all = of(1..=500);
        assert_eq!(Latencies::new().percentile(50.0), 0);
        all.add(&of(501..=1000));
        assert_eq!((all.count(), all.percentile(50.0)), (1000, 500));
        let mut told = Latencies::new();
        for (ns, count) in [(10, 50), (20, 30), (20, 18), (1000, 2)] {
            told.record_many(ns, count);
        }
        for (percent, ns) in [
            (1.0, 10),
            (50.0, 10),
            (51.0, 20),
            (98.0, 20),
            (98.5, 1000),
            (100.0, 1000),
        ] {
            assert_eq!(told.percentile(percent), ns, "{percent}");
        }
    }

    #[test]
    fn nothing_is_too_long() {
        let latencies = of([u64::MAX]);
        assert_eq!(latencies.count(), 1);
        assert!(latencies.max() >= LONGEST_NS);
    }
}
