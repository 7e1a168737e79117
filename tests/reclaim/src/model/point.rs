// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A point's results.

use dax_bench::model::Aim;
use dax_bench::stats::{Estimate, median, paired_ratio};
use guest_agent::workload::{Blocked, Work};
use serde::{Deserialize, Serialize};

use super::{Distribution, Latency, aims};
use crate::plan::{Pins, Point};

/// What one turn gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Bytes accessed. A page of a mapping counts whole.
    pub bytes: u64,
    /// Accesses.
    pub accesses: u64,
    /// How long they took together, by the guest's clock.
    pub ns: u64,
    /// Whether they came to a standstill that only the end of the pins ended.
    pub stalled: bool,
    /// Which of the guest's tasks slept in Linux's DAX code then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
    /// Processor time of all of the daemon's processes on the host; none where there is no daemon.
    pub daemon_cpu_ns: Option<u64>,
    /// Processor time of QEMU on the host.
    pub qemu_cpu_ns: u64,
    /// SETUPMAPPING requests; none where nobody could count.
    pub set_up: Option<u64>,
    /// Ranges removed.
    pub removed: Option<u64>,
    /// Of these, taken by whoever needed one.
    pub inline: Option<u64>,
    /// Of these, taken by the guest's worker.
    pub worker: Option<u64>,
    /// Bytes of the window that were mapped at the end.
    pub mapped_bytes: Option<u64>,
    /// Bytes of files behind them.
    pub used_bytes: Option<u64>,
    /// SETUPMAPPING requests that the daemon refused.
    pub refused: Option<u64>,
}

/// What one side did at a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Whose.
    pub side: String,
    /// Turn by turn.
    pub rounds: Vec<Round>,
    /// How long accesses took, over all turns.
    pub latency: Latency,
}

/// Throughput against another side's, of rounds that were played one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Whose.
    pub side: String,
    /// Against whose.
    pub against: String,
    /// How many times as much.
    pub ratio: Estimate,
    /// The same of bytes by a second of the host's processor time, QEMU's and the daemon's: what
    /// others do on the host meanwhile is not in it, and neither is the time that nobody worked.
    pub per_cpu: Option<Estimate>,
}

/// What all sides did at a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointResult {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub about: String,
    /// What was done.
    pub work: Work,
    /// The working set in windows.
    pub times: f64,
    /// How much of the window was pinned.
    pub pins: Pins,
    /// By whom.
    pub series: Vec<Series>,
    /// Compared.
    pub ratios: Vec<Ratio>,
    /// What it should reach.
    pub aims: Vec<Aim>,
}

/// Whom sides are compared with.
pub(super) const REFERENCES: [&str; 3] = ["virtiofsd-auto", "daxd-none", "tmpfs"];

impl Round {
    /// Bytes a second.
    pub fn throughput(&self) -> f64 {
        self.bytes as f64 * 1e9 / self.ns.max(1) as f64
    }

    /// Bytes by a second of processor time of QEMU and daemon.
    pub fn per_cpu(&self) -> f64 {
        let ns = self.qemu_cpu_ns + self.daemon_cpu_ns.unwrap_or(0);
        self.bytes as f64 * 1e9 / ns.max(1) as f64
    }

    /// Of a count, how many a second.
    pub fn rate(&self, count: Option<u64>) -> Option<f64> {
        Some(count? as f64 * 1e9 / self.ns.max(1) as f64)
    }

    /// Of a time of the host's, how much a second of the turn took.
    pub fn share(&self, ns: u64) -> f64 {
        ns as f64 / self.ns.max(1) as f64
    }
}

impl Series {
    /// Of a side that has had no turn yet.
    pub fn new(side: &str) -> Self {
        Self {
            side: side.to_owned(),
            rounds: Vec::new(),
            latency: Latency::default(),
        }
    }

    /// With what its accesses took.
    #[must_use]
    pub fn with(self, latencies: &Distribution) -> Self {
        Self {
            latency: latencies.kept(),
            ..self
        }
    }

    /// The median of what the rounds give; none if none gives something.
    pub fn median_of(&self, number: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let numbers: Vec<f64> = self.rounds.iter().filter_map(number).collect();
        median(&numbers)
    }

    /// Bytes a second.
    pub fn throughput(&self) -> f64 {
        self.median_of(|round| Some(round.throughput()))
            .unwrap_or(0.0)
    }

    /// In how many rounds accesses came to a standstill.
    pub fn stalls(&self) -> usize {
        self.rounds.iter().filter(|round| round.stalled).count()
    }

    /// Where the guest's tasks slept in such a standstill: each place once.
    pub fn blocked(&self) -> Vec<&Blocked> {
        Blocked::each_place(self.rounds.iter().flat_map(|round| &round.blocked))
    }

    /// The kernel's name in a run of several: what stands behind `@`.
    fn kernel(&self) -> Option<&str> {
        self.side.split_once('@').map(|(_, kernel)| kernel)
    }
}

impl PointResult {
    /// With ratios and aims.
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
        result.aims = aims::of(&result);
        result
    }

    /// A side's part.
    pub fn side(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.side == name)
    }

    /// A side's ratio.
    pub fn ratio(&self, side: &str, against: &str) -> Option<Estimate> {
        let mut ratios = self.ratios.iter();
        let found = ratios.find(|one| one.side == side && is(&one.against, against));
        found.map(|one| one.ratio)
    }

    /// A side's ratio of bytes by processor time.
    pub fn per_cpu(&self, side: &str, against: &str) -> Option<Estimate> {
        let mut ratios = self.ratios.iter();
        let found = ratios.find(|one| one.side == side && is(&one.against, against));
        found.and_then(|one| one.per_cpu)
    }

    fn compared(&self) -> Vec<Ratio> {
        let mut ratios = Vec::new();
        for reference in REFERENCES {
            for one in &self.series {
                // Of the same kernel.
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

/// Whether a side is this one, of whichever kernel.
fn is(side: &str, name: &str) -> bool {
    side.split('@').next() == Some(name)
}
