// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One thing that all sides did in turn.

use serde::{Deserialize, Serialize};

use super::{Aim, Bound, Measure, Round};
use crate::stats::{Estimate, Latencies, median, paired_ratio};

/// Which of the benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Requests.
    Io,
    /// Mappings.
    Map,
    /// Bytes through the window.
    Window,
}

impl Suite {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Io => "io",
            Self::Map => "map",
            Self::Window => "window",
        }
    }
}

/// One thing that all sides did in turn, and how they compare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Where it belongs.
    pub suite: Suite,
    /// Its name, unique in the suite.
    pub name: String,
    /// What was done, in words.
    pub about: String,
    /// Against which side the others are compared.
    pub reference: String,
    /// What each side did, in the order of their turns.
    pub series: Vec<Series>,
    /// How they compare with the reference.
    pub comparisons: Vec<Comparison>,
    /// What is aimed at.
    pub aims: Vec<Aim>,
}

/// What one side did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The side.
    pub side: String,
    /// Its rounds, in order; those of all sides with the same place are one pair.
    pub rounds: Vec<Round>,
    /// The median latency of all rounds' operations, in ns.
    pub median_ns: u64,
    /// The latency that 99 % of them do not exceed, in ns.
    pub p99_ns: u64,
    /// The longest, in ns.
    pub max_ns: u64,
    /// Other things that were found.
    pub facts: Vec<Fact>,
}

/// A number that no other field has a place for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// One measure of one side against the reference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The side.
    pub side: String,
    /// What was compared.
    pub measure: Measure,
    /// The side's over the reference's, by pairs of rounds.
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
    /// Compares what the sides did; there are no aims yet.
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

    /// Aims at a ratio of two sides, if both were measured.
    pub fn aim(&mut self, measure: Measure, side: &str, to: &str, bound: Bound) {
        if let Some(found) = self.ratio(measure, side, to) {
            let of = format!("{} / {to}", measure.name());
            self.aims.push(Aim::new(side, of, bound, found));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::Verdict;

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
