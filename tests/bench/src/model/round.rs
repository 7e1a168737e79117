// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What one side did in one turn.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stats::Latencies;

/// One side's turn at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Requests that were completed.
    pub operations: u64,
    /// Bytes that they moved.
    pub bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The median latency, in ns.
    pub median_ns: u64,
    /// The latency that 99 % do not exceed, in ns.
    pub p99_ns: u64,
    /// The processor time of all of the daemon's processes, in ns; null if there is no daemon.
    pub daemon_cpu_ns: Option<u64>,
    /// The processor time of the driver, in ns.
    pub driver_cpu_ns: u64,
}

/// What can be compared of rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Operations a second.
    Rate,
    /// The median latency.
    Median,
    /// The latency that 99 % do not exceed.
    P99,
    /// The daemon's processor time per operation.
    DaemonCpu,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rate, Self::Median, Self::P99, Self::DaemonCpu];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Median => "median",
            Self::P99 => "p99",
            Self::DaemonCpu => "daemon CPU",
        }
    }
}

impl Round {
    /// A turn that took so long, with these latencies.
    pub fn new(latencies: &Latencies, bytes: u64, took: Duration) -> Self {
        Self {
            operations: latencies.count(),
            bytes,
            seconds: took.as_secs_f64(),
            median_ns: latencies.percentile(50.0),
            p99_ns: latencies.percentile(99.0),
            daemon_cpu_ns: None,
            driver_cpu_ns: 0,
        }
    }

    /// Operations a second.
    pub fn rate(&self) -> f64 {
        self.operations as f64 / self.seconds
    }

    /// Bytes a second.
    pub fn throughput(&self) -> f64 {
        self.bytes as f64 / self.seconds
    }

    /// The daemon's processor time per operation, in ns.
    pub fn daemon_cpu(&self) -> Option<f64> {
        let cpu = self.daemon_cpu_ns? as f64;
        (self.operations > 0).then(|| cpu / self.operations as f64)
    }

    /// The driver's processor time per operation, in ns.
    pub fn driver_cpu(&self) -> Option<f64> {
        (self.operations > 0).then(|| self.driver_cpu_ns as f64 / self.operations as f64)
    }

    /// The number that a measure stands for.
    pub fn get(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Rate => Some(self.rate()),
            Measure::Median => Some(self.median_ns as f64),
            Measure::P99 => Some(self.p99_ns as f64),
            Measure::DaemonCpu => self.daemon_cpu(),
        }
    }
}
