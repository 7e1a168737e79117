// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a run of the benchmarks that play VMM and guest themselves found; `results.json` is this.

#![expect(missing_docs, reason = "docs/results.md describes each field")]

use std::time::Duration;

use dax_measure::{
    Bound, Head, Stored, Target,
    stats::{Estimate, Latencies, median, paired_ratio},
    words,
};
use serde::{Deserialize, Serialize};

/// The version of `results.json`.
pub const SCHEMA: u32 = 1;

/// One of those that are compared, with its daemon's command line in words.
pub type Side = dax_measure::Side<Vec<String>>;

impl Stored for Run {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab bench";
}

/// Everything that a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    #[serde(flatten)]
    pub head: Head,
    pub settings: Settings,
    pub sides: Vec<Side>,
    pub points: Vec<Point>,
}

/// How it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub rounds: u32,
    pub seconds: f64,
    pub lead_in: f64,
}

words! {
    /// Which of the benchmarks, as on the command line.
    Suite {
        /// Requests.
        Io = "io",
        /// Mappings.
        Map = "map",
        /// Bytes through the window.
        Window = "window",
    }
}

/// One thing that all sides did in turn, and how they compare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub suite: Suite,
    pub name: String,
    pub about: String,
    pub reference: String,
    pub series: Vec<Series>,
    pub comparisons: Vec<Comparison>,
    pub aims: Vec<Target>,
}

/// What one side did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub side: String,
    pub rounds: Vec<Round>,
    pub median_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    pub facts: Vec<Fact>,
}

/// A number that no other field has a place for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    pub name: String,
    pub value: f64,
    pub unit: String,
}

/// One measure of one side against the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub side: String,
    pub measure: Measure,
    pub ratio: Estimate,
}

impl Series {
    /// A side's rounds, with the latencies of all of them.
    pub fn new(side: impl Into<String>, rounds: Vec<Round>, all: &Latencies) -> Self {
        Self {
            side: side.into(),
            rounds,
            median_ns: all.percentile(50.0),
            p99_ns: all.percentile(99.0),
            max_ns: all.max(),
            facts: Vec::new(),
        }
    }

    /// A measure of each round; none if a round has none.
    pub fn each(&self, measure: Measure) -> Option<Vec<f64>> {
        self.rounds.iter().map(|round| round.get(measure)).collect()
    }

    /// The median of the rounds' numbers.
    pub fn median_of(&self, number: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let numbers: Option<Vec<f64>> = self.rounds.iter().map(number).collect();
        median(&numbers?)
    }

    /// The operations a second that `cores` processors have time for, if daemon and driver took
    /// what they took per operation, and nothing else ran.
    pub fn bound(&self, cores: u32) -> Option<f64> {
        let daemon = self.median_of(Round::daemon_cpu)?;
        let driver = self.median_of(Round::driver_cpu)?;
        Some(f64::from(cores) * 1e9 / (daemon + driver))
    }
}

impl Point {
    /// Compares what the sides did; there are no targets yet.
    pub fn new(
        suite: Suite,
        name: impl Into<String>,
        about: impl Into<String>,
        reference: impl Into<String>,
        series: Vec<Series>,
    ) -> Self {
        let mut point = Self {
            suite,
            name: name.into(),
            about: about.into(),
            reference: reference.into(),
            series,
            comparisons: Vec::new(),
            aims: Vec::new(),
        };
        point.comparisons = point.compared();
        point
    }

    fn compared(&self) -> Vec<Comparison> {
        let others = self.series.iter().filter(|s| s.side != self.reference);
        let all = others.flat_map(|series| Measure::ALL.map(|measure| (series, measure)));
        let compared = all.filter_map(|(series, measure)| {
            Some(Comparison {
                side: series.side.clone(),
                measure,
                ratio: self.ratio(measure, &series.side, &self.reference)?,
            })
        });
        compared.collect()
    }

    /// One side.
    pub fn side(&self, name: &str) -> Option<&Series> {
        self.series.iter().find(|series| series.side == name)
    }

    /// A side's comparison with the reference.
    pub fn comparison(&self, side: &str, measure: Measure) -> Option<Estimate> {
        let mut all = self.comparisons.iter();
        let found = all.find(|one| one.side == side && one.measure == measure)?;
        Some(found.ratio)
    }

    /// A side's measure over another's.
    pub fn ratio(&self, measure: Measure, side: &str, to: &str) -> Option<Estimate> {
        let ours = self.side(side)?.each(measure)?;
        paired_ratio(&ours, &self.side(to)?.each(measure)?)
    }

    /// Sets a target to the ratio of two sides, if both were measured.
    pub fn aim(&mut self, measure: Measure, side: &str, to: &str, bound: Bound) {
        if let Some(found) = self.ratio(measure, side, to) {
            let of = format!("{} / {to}", measure.name());
            self.aims.push(Target::new(side, of, bound, found));
        }
    }
}

/// One side's turn at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub operations: u64,
    pub bytes: u64,
    pub seconds: f64,
    pub median_ns: u64,
    pub p99_ns: u64,
    pub daemon_cpu_ns: Option<u64>,
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

#[cfg(test)]
mod tests {
    use dax_measure::Verdict;

    use super::*;

    fn series(side: &str, us: &[u64]) -> Series {
        let mut all = Latencies::new();
        let round = |us: &u64| {
            let mut latencies = Latencies::new();
            for _ in 0..1000 {
                latencies.record(Duration::from_micros(*us));
            }
            all.add(&latencies);
            Round {
                daemon_cpu_ns: Some(us * 500 * 1000),
                driver_cpu_ns: us * 250 * 1000,
                ..Round::new(&latencies, 0, Duration::from_micros(us * 1000))
            }
        };
        let rounds = us.iter().map(round).collect();
        Series::new(side, rounds, &all)
    }

    fn point() -> Point {
        let sides = vec![
            series("ours", &[10, 20, 40]),
            series("theirs", &[20, 40, 80]),
        ];
        Point::new(Suite::Io, "getattr/1", "", "theirs", sides)
    }

    #[test]
    fn sides_are_compared_pair_by_pair() {
        let point = point();
        let ratio = |measure| point.comparison("ours", measure).unwrap();
        assert!((ratio(Measure::Rate).median - 2.0).abs() < 1e-9);
        assert!((ratio(Measure::DaemonCpu).high - 0.5).abs() < 1e-9);
        assert!((ratio(Measure::Median).low - 0.5).abs() < 0.01);
        assert_eq!(point.comparison("theirs", Measure::Rate), None);
    }

    #[test]
    fn an_aim_needs_both_sides() {
        let mut point = point();
        point.aim(Measure::Rate, "ours", "theirs", Bound::AtLeast(1.3));
        point.aim(Measure::Rate, "theirs", "ours", Bound::AtLeast(1.3));
        point.aim(Measure::Rate, "ours", "nobody", Bound::AtLeast(1.3));
        let verdicts: Vec<_> = point.aims.iter().map(|aim| aim.verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::Missed]);
        assert_eq!(point.aims[0].of, "rate / theirs");
    }

    #[test]
    fn the_bound_is_what_the_processors_have_time_for() {
        // 20 µs in the median round: 10 of the daemon's and 5 of the driver's.
        let bound = series("ours", &[10, 20, 40]).bound(2).unwrap();
        assert!((bound - 2.0 / 15e-6).abs() < 1.0, "{bound}");
    }
}
