// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The results of the benchmarks that play VMM and guest themselves, as in `results.json`.

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

/// A side, with its daemon's command line as a list of words.
pub type Side = dax_measure::Side<Vec<String>>;

impl Stored for Run {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab bench";
}

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    #[serde(flatten)]
    pub head: Head,
    pub settings: Settings,
    pub sides: Vec<Side>,
    pub points: Vec<Point>,
}

/// The settings of the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub rounds: u32,
    pub seconds: f64,
    pub lead_in: f64,
}

words! {
    /// The benchmarks by their names on the command line.
    Suite {
        /// Requests.
        Io = "io",
        /// Mappings.
        Map = "map",
        /// Bytes through the window.
        Window = "window",
    }
}

/// A point, with the results and comparisons of all sides.
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

/// The results of one side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub side: String,
    pub rounds: Vec<Round>,
    pub median_ns: u64,
    pub p99_ns: u64,
    pub max_ns: u64,
    pub facts: Vec<Fact>,
}

/// A number without a field of its own.
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
    /// A series of a side's rounds, with the latencies of all of them.
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

    /// The measure of each round; `None` if a round lacks it.
    pub fn each(&self, measure: Measure) -> Option<Vec<f64>> {
        self.rounds.iter().map(|round| round.get(measure)).collect()
    }

    /// The median of a number over the rounds.
    pub fn median_of(&self, number: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let numbers: Option<Vec<f64>> = self.rounds.iter().map(number).collect();
        median(&numbers?)
    }

    /// The operations a second for which `cores` processors have time, if daemon and driver took
    /// the same time for an operation and no other process ran.
    pub fn bound(&self, cores: u32) -> Option<f64> {
        let daemon = self.median_of(Round::daemon_cpu)?;
        let driver = self.median_of(Round::driver_cpu)?;
        Some(f64::from(cores) * 1e9 / (daemon + driver))
    }
}

impl Point {
    /// Compares the sides' results. Targets are added later.
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

    /// The comparison of a side with the reference.
    pub fn comparison(&self, side: &str, measure: Measure) -> Option<Estimate> {
        let mut all = self.comparisons.iter();
        let found = all.find(|one| one.side == side && one.measure == measure)?;
        Some(found.ratio)
    }

    /// The ratio of a side's measure to another side's.
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

/// The measures of a round that are compared.
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
    /// All measures.
    pub const ALL: [Self; 4] = [Self::Rate, Self::Median, Self::P99, Self::DaemonCpu];

    /// The name in tables.
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
    /// A turn of this length, with these latencies.
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

    /// The value of a measure.
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
        point.aim(Measure::Rate, "ours", "absent", Bound::AtLeast(1.3));
        let verdicts: Vec<_> = point.aims.iter().map(|aim| aim.verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::Missed]);
        assert_eq!(point.aims[0].of, "rate / theirs");
    }

    #[test]
    fn the_bound_is_what_the_processors_have_time_for() {
        // 20 µs in the median round: 10 of the daemon and 5 of the driver.
        let bound = series("ours", &[10, 20, 40]).bound(2).unwrap();
        assert!((bound - 2.0 / 15e-6).abs() < 1.0, "{bound}");
    }
}
