// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The report of the benchmarks that play VMM and guest themselves.

mod document;
mod plots;

use dax_measure::{
    Line, Place, Results, Row, Section, Sheet, Table,
    quantity::{count, interval, ratio, throughput, time},
};

use crate::model::{Measure, Point, Round, Run, Series, Suite};

/// The columns of all numbers. Only a page has room for the last four.
const HEAD: [&str; 12] = [
    "point / side",
    "ops/s",
    "median",
    "p99",
    "daemon",
    "driver",
    "rate ×",
    "daemon CPU ×",
    "bytes",
    "bound",
    "median ×",
    "p99 ×",
];
const WIDE: usize = 4;
const NOTES: &str = "\
Ratios are of pairs of rounds, one measured after the other: the median, and in brackets its 95 % \
interval (bootstrap). A target is met or missed where the whole interval says so, else unsure. CPU is \
processor time per operation. The bound is the operations a second that this machine's processors \
have time for, daemon and driver together.";
/// Operations that move at least this many bytes are reported in bytes a second.
const LARGE: u64 = 64 << 10;

impl Results for Run {
    fn sheet(&self) -> Sheet<'_> {
        let settings = &self.settings;
        let mut sections = Vec::new();
        for &suite in Suite::ALL {
            let points = self.points.iter().filter(|point| point.suite == suite);
            let points: Vec<&Point> = points.collect();
            if !points.is_empty() {
                sections.extend(both(suite, &points, self.head.host.cores));
            }
        }
        Sheet {
            command: "daxlab bench",
            head: &self.head,
            settings: format!(
                "{} rounds of {} s a side",
                settings.rounds, settings.seconds
            ),
            sides: self
                .sides
                .iter()
                .map(|side| Line {
                    name: side.name.clone(),
                    about: side.about.clone(),
                    command: side.command.join(" "),
                })
                .collect(),
            notes: NOTES.to_owned(),
            end: "<!-- end of the numbers -->",
            sections,
            targets: self.points.iter().flat_map(|point| &point.aims).collect(),
        }
    }
}

/// All numbers of a suite, and the ones for its document.
fn both(suite: Suite, points: &[&Point], cores: u32) -> [Section; 2] {
    let mut sides: Vec<&str> = Vec::new();
    for series in points.iter().flat_map(|point| &point.series) {
        if !sides.contains(&series.side.as_str()) {
            sides.push(&series.side);
        }
    }
    let ratios = [Measure::Rate, Measure::DaemonCpu].into_iter();
    let plots = ratios.filter_map(|measure| plots::ratios(measure, suite, points, &sides));
    let shown = Section {
        title: suite.name().to_owned(),
        table: Some(numbers(points, cores)),
        strips: plots
            .chain(plots::latencies(suite, points, &sides))
            .collect(),
        place: Place::Shown,
        ..Section::default()
    };
    let brief = Section {
        title: suite.name().to_owned(),
        table: Some(match suite {
            Suite::Io => document::io(points, cores),
            Suite::Map => document::map(points),
            Suite::Window => document::window(points),
        }),
        place: Place::Document,
        ..Section::default()
    };
    [shown, brief]
}

fn numbers(points: &[&Point], cores: u32) -> Table {
    let mut table = Table {
        wide: WIDE,
        ..Table::new(HEAD)
    };
    for point in points {
        let about = format!("{}; against {}", point.about, point.reference);
        table.rows.push(Row::Group(point.name.clone(), about));
        for series in &point.series {
            table.rows.push(Row::Cells(cells(point, series, cores)));
            table.rows.extend(note(series, cores).map(Row::Note));
        }
        table.rows.extend(point.aims.iter().map(Row::from));
    }
    table
}

fn cells(point: &Point, series: &Series, cores: u32) -> Vec<String> {
    let compared = |measure| shown(point.comparison(&series.side, measure), interval);
    let bytes = series.median_of(|round| (round.bytes > 0).then(|| round.throughput()));
    vec![
        series.side.clone(),
        rate(series),
        time(series.median_ns as f64),
        time(series.p99_ns as f64),
        shown(series.median_of(Round::daemon_cpu), time),
        shown(series.median_of(Round::driver_cpu), time),
        compared(Measure::Rate),
        compared(Measure::DaemonCpu),
        shown(bytes, throughput),
        shown(series.bound(cores), count),
        compared(Measure::Median),
        compared(Measure::P99),
    ]
}

/// Values without a column on a terminal: bytes, facts, and the bound of two queues.
fn note(series: &Series, cores: u32) -> Option<String> {
    let mut told: Vec<String> = Vec::new();
    let large = |round: &Round| round.bytes >= LARGE * round.operations.max(1);
    let bytes = series.median_of(|round| large(round).then(|| round.throughput()));
    told.extend(bytes.map(throughput));
    let bound = series.bound(cores).filter(|_| series.side.ends_with("-2q"));
    told.extend(bound.map(|bound| format!("{cores} cores leave {} ops/s", count(bound))));
    let facts = series.facts.iter();
    told.extend(facts.map(|fact| format!("{} {} {}", fact.name, ratio(fact.value), fact.unit)));
    (!told.is_empty()).then(|| told.join(", "))
}

fn rate(series: &Series) -> String {
    shown(series.median_of(|round| Some(round.rate())), count)
}

fn shown<T>(number: Option<T>, how: impl FnOnce(T) -> String) -> String {
    number.map_or_else(|| "-".to_owned(), how)
}

#[cfg(test)]
mod tests;
