// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The results of a run, as in `results.json`.

#![expect(missing_docs, reason = "docs/results.md describes each field")]

use dax_measure::{
    Head, Side, Stored, Target,
    stats::{Estimate, Latencies, median, paired_ratio},
};
use guest_agent::workload::{Blocked, Work};
use serde::{Deserialize, Serialize};

use super::{
    plan::{Pins, Point},
    targets,
};

/// The version of `results.json`.
pub const SCHEMA: u32 = 1;
/// The percentiles of the latency curve.
const CURVE: [f64; 12] = [
    1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0,
];

impl Stored for ReclaimRun {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab bench reclaim";
}

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReclaimRun {
    #[serde(flatten)]
    pub head: Head,
    pub settings: Settings,
    pub sides: Vec<Side>,
    pub points: Vec<PointResult>,
}

/// The settings of the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub rounds: u32,
    pub seconds: f64,
    pub window: u64,
}

/// The figures of a distribution, in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    pub median_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    pub curve: Vec<(f64, u64)>,
}

impl Latency {
    fn of(all: &Latencies) -> Self {
        Self {
            median_ns: all.percentile(50.0),
            p99_ns: all.percentile(99.0),
            max_ns: all.max(),
            curve: CURVE
                .map(|percent| (percent, all.percentile(percent)))
                .into(),
        }
    }
}

/// The results of one turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub bytes: u64,
    pub accesses: u64,
    pub ns: u64,
    pub stalled: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
    pub daemon_cpu_ns: Option<u64>,
    pub qemu_cpu_ns: u64,
    pub set_up: Option<u64>,
    pub removed: Option<u64>,
    pub inline: Option<u64>,
    pub worker: Option<u64>,
    pub mapped_bytes: Option<u64>,
    pub used_bytes: Option<u64>,
    pub refused: Option<u64>,
}

/// The results of one side at a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub side: String,
    pub rounds: Vec<Round>,
    pub latency: Latency,
}

/// The ratio of throughputs to another side's, from rounds that ran one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    pub side: String,
    pub against: String,
    pub ratio: Estimate,
    pub per_cpu: Option<Estimate>,
}

/// The results of all sides at a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointResult {
    pub name: String,
    pub about: String,
    pub work: Work,
    pub times: f64,
    pub pins: Pins,
    pub series: Vec<Series>,
    pub ratios: Vec<Ratio>,
    pub aims: Vec<Target>,
}

/// The sides that others are compared with.
const REFERENCES: [&str; 3] = ["virtiofsd-auto", "daxd-none", "tmpfs"];

impl Round {
    /// Bytes a second.
    pub fn throughput(&self) -> f64 {
        self.bytes as f64 * 1e9 / self.ns.max(1) as f64
    }

    /// Bytes for each second of processor time of QEMU and daemon.
    pub fn per_cpu(&self) -> f64 {
        let ns = self.qemu_cpu_ns + self.daemon_cpu_ns.unwrap_or(0);
        self.bytes as f64 * 1e9 / ns.max(1) as f64
    }

    /// The rate of a count, per second.
    pub fn rate(&self, count: Option<u64>) -> Option<f64> {
        Some(count? as f64 * 1e9 / self.ns.max(1) as f64)
    }

    /// The share of the turn that a time of the host took.
    pub fn share(&self, ns: u64) -> f64 {
        ns as f64 / self.ns.max(1) as f64
    }
}

impl Series {
    /// The series of a side without a turn yet.
    pub fn new(side: &str) -> Self {
        Self {
            side: side.to_owned(),
            rounds: Vec::new(),
            latency: Latency::default(),
        }
    }

    /// Adds the latencies of its accesses.
    #[must_use]
    pub fn with(self, latencies: &Latencies) -> Self {
        Self {
            latency: Latency::of(latencies),
            ..self
        }
    }

    /// The median of a number over the rounds; `None` if no round has it.
    pub fn median_of(&self, number: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let numbers: Vec<f64> = self.rounds.iter().filter_map(number).collect();
        median(&numbers)
    }

    /// Bytes a second.
    pub fn throughput(&self) -> f64 {
        self.median_of(|round| Some(round.throughput()))
            .unwrap_or(0.0)
    }

    /// The number of rounds in which accesses stalled.
    pub fn stalls(&self) -> usize {
        self.rounds.iter().filter(|round| round.stalled).count()
    }

    /// Where the guest's tasks slept during a stall: each place once.
    pub fn blocked(&self) -> Vec<&Blocked> {
        Blocked::each_place(self.rounds.iter().flat_map(|round| &round.blocked))
    }

    /// The kernel's name in a run with several kernels: the part behind `@`.
    fn kernel(&self) -> Option<&str> {
        self.side.split_once('@').map(|(_, kernel)| kernel)
    }
}

impl PointResult {
    /// Compares the sides, and adds the targets.
    pub fn new(point: &Point, series: Vec<Series>) -> Self {
        let mut result = Self {
            name: point.name(),
            about: point.about(),
            work: point.work.clone(),
            times: point.times,
            pins: point.pins,
            series,
            ratios: Vec::new(),
            aims: Vec::new(),
        };
        result.ratios = result.compared();
        result.aims = targets::of(&result);
        result
    }

    /// The series of a side.
    pub fn side(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.side == name)
    }

    /// A side's ratio.
    pub fn ratio(&self, side: &str, against: &str) -> Option<Estimate> {
        let mut ratios = self.ratios.iter();
        let found = ratios.find(|one| one.side == side && is(&one.against, against));
        found.map(|one| one.ratio)
    }

    /// The ratio of a side's bytes for processor time to another side's.
    pub fn per_cpu(&self, side: &str, against: &str) -> Option<Estimate> {
        let mut ratios = self.ratios.iter();
        let found = ratios.find(|one| one.side == side && is(&one.against, against));
        found.and_then(|one| one.per_cpu)
    }

    fn compared(&self) -> Vec<Ratio> {
        let mut ratios = Vec::new();
        for reference in REFERENCES {
            for one in &self.series {
                // The side on the same kernel.
                let of =
                    |other: &&Series| is(&other.side, reference) && other.kernel() == one.kernel();
                let Some(other) = self
                    .series
                    .iter()
                    .find(of)
                    .filter(|other| other.side != one.side)
                else {
                    continue;
                };
                let between = |number: fn(&Round) -> f64| {
                    let of = |series: &Series| -> Vec<f64> {
                        series.rounds.iter().map(number).collect()
                    };
                    paired_ratio(&of(one), &of(other))
                };
                ratios.extend(between(Round::throughput).map(|ratio| Ratio {
                    side: one.side.clone(),
                    against: other.side.clone(),
                    ratio,
                    per_cpu: between(Round::per_cpu),
                }));
            }
        }
        ratios
    }
}

/// Whether a side has this name, on any kernel.
fn is(side: &str, name: &str) -> bool {
    side.split('@').next() == Some(name)
}
