// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long accesses took.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where the curve of a distribution is kept.
const CURVE: [f64; 12] = [
    1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0,
];

/// How many accesses took about so many nanoseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution(BTreeMap<u64, u64>);

/// What is kept of a distribution, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of all accesses took no longer.
    pub median_ns: u64,
    /// 99 % of all took no longer.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// Percent of all, and how long they took at most.
    pub curve: Vec<(f64, u64)>,
}

impl Distribution {
    /// Adds a part.
    pub fn add(&mut self, part: &[(u64, u64)]) {
        for (ns, count) in part {
            *self.0.entry(*ns).or_default() += count;
        }
    }

    /// The time that so many percent of all did not exceed; 0 of none.
    pub fn percentile(&self, percent: f64) -> u64 {
        let all: u64 = self.0.values().sum();
        let wanted = (all as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = self.0.iter().find(|(_, count)| {
            seen += **count;
            seen >= wanted
        });
        found.map_or(0, |(ns, _)| *ns)
    }

    /// What is kept.
    pub fn kept(&self) -> Latency {
        Latency {
            median_ns: self.percentile(50.0),
            p99_ns: self.percentile(99.0),
            max_ns: self.percentile(100.0),
            curve: CURVE
                .map(|percent| (percent, self.percentile(percent)))
                .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_all_parts() {
        let mut latencies = Distribution::default();
        assert_eq!(latencies.percentile(50.0), 0);
        latencies.add(&[(10, 50), (20, 30)]);
        latencies.add(&[(20, 18), (1000, 2)]);
        for (percent, ns) in [
            (1.0, 10),
            (50.0, 10),
            (51.0, 20),
            (98.0, 20),
            (98.5, 1000),
            (100.0, 1000),
        ] {
            assert_eq!(latencies.percentile(percent), ns, "{percent}");
        }
        let kept = latencies.kept();
        assert_eq!((kept.median_ns, kept.p99_ns, kept.max_ns), (10, 1000, 1000));
        assert_eq!(kept.curve.last(), Some(&(100.0, 1000)));
    }
}
