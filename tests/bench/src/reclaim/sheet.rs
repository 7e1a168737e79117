// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The report of a run.

mod plots;

use dax_measure::{
    Line, Place, Results, Row, Section, Sheet, Side, Table,
    quantity::{count, interval, ratio, throughput, time},
    stats::Estimate,
};
use guest_agent::workload::{Access, Temperature};

use super::{
    model::{PointResult, ReclaimRun, Round, Series},
    targets::{crossovers, over_working_sets},
};

/// The columns of all numbers.
const HEAD: [&str; 12] = [
    "point / side",
    "bytes",
    "× virtiofsd",
    "by CPU",
    "× no window",
    "× tmpfs",
    "median",
    "p99",
    "daemon",
    "QEMU",
    "inline/s",
    "worker/s",
];
const NOTES: &str = "\
Ratios are of pairs of rounds, one measured after the other: the median, and in brackets its 95 % \
interval (bootstrap). A target is met or missed where the whole interval says so, else unsure.";
const EMULATED: &str = " \
The guests' processors are emulated (TCG): instructions take many times as long as the host's own, \
system calls of the host do not; so what copies looks slower, and what asks the host looks cheaper \
than with KVM.";

impl Results for ReclaimRun {
    fn sheet(&self) -> Sheet<'_> {
        let settings = &self.settings;
        let emulated = self
            .head
            .guests
            .as_ref()
            .is_some_and(|one| one.accel == "tcg");
        Sheet {
            command: "daxlab bench reclaim",
            head: &self.head,
            settings: format!(
                "window of {} MiB; {} rounds of {} s a side, in turn",
                settings.window >> 20,
                settings.rounds,
                settings.seconds
            ),
            sides: lines(&self.sides),
            notes: format!("{NOTES}{}", if emulated { EMULATED } else { "" }),
            end: "<!-- end of the numbers -->",
            sections: sections(self),
            targets: self.points.iter().flat_map(|point| &point.aims).collect(),
        }
    }
}

/// The sides in a report.
pub(crate) fn lines(sides: &[Side]) -> Vec<Line> {
    let line = |side: &Side| Line {
        name: side.name.clone(),
        about: side.about.clone(),
        command: side.command.clone(),
    };
    sides.iter().map(line).collect()
}

fn sections(run: &ReclaimRun) -> Vec<Section> {
    let section = |title: &str, place| Section {
        title: title.to_owned(),
        place,
        ..Section::default()
    };
    let crossovers = crossovers(&run.points).into_iter();
    let crossovers = crossovers.map(|one| one.to_string()).collect();
    let bytes = |series: &Series| Some(series.throughput());
    let reclaimed = |series: &Series| {
        series.median_of(|round| {
            let taken = round.inline.zip(round.worker).map(|(a, b)| a + b);
            round.rate(taken.or(round.removed))
        })
    };
    let mut all = vec![
        Section {
            table: Some(targets(run)),
            ..section("Targets", Place::Document)
        },
        Section {
            list: crossovers,
            ..section("Against no window, by working set", Place::All)
        },
        Section {
            curves: plots::curves(run, "bytes a second", throughput, bytes),
            ..section("Throughput against working set", Place::Page)
        },
        Section {
            curves: plots::curves(run, "ranges reclaimed a second", count, reclaimed),
            ..section("Reclaim", Place::Page)
        },
        Section {
            curves: run
                .points
                .iter()
                .filter_map(|one| plots::latency(run, one))
                .collect(),
            ..section("Latency", Place::Page)
        },
    ];
    all.extend(series_over_working_sets(run).map(|(title, table)| Section {
        table: Some(table),
        ..section(&title, Place::Document)
    }));
    all.push(Section {
        table: Some(numbers(run)),
        ..section("All points", Place::All)
    });
    all.extend(standstills(run).map(|(title, list)| Section {
        list,
        ..section(&title, Place::Document)
    }));
    all
}

/// Where the guest's tasks slept when accesses stalled.
fn standstills(run: &ReclaimRun) -> impl Iterator<Item = (String, Vec<String>)> {
    let of_point = |point: &'_ PointResult| -> Vec<_> {
        let each = point.series.iter().map(|series| {
            let title = format!("{}, {} in a standstill", point.name, series.side);
            let places = series.blocked().into_iter();
            (
                title,
                places
                    .map(|place| format!("`{}`", place.told()))
                    .collect::<Vec<_>>(),
            )
        });
        each.filter(|(_, places)| !places.is_empty()).collect()
    };
    run.points.iter().flat_map(of_point)
}

fn targets(run: &ReclaimRun) -> Table {
    let rows = run.points.iter().flat_map(|point| {
        point.aims.iter().map(|aim| {
            // The same ratio for bytes per processor time.
            let against = aim.of.rsplit(' ').next().unwrap_or_default();
            vec![
                point.name.clone(),
                aim.side.clone(),
                format!("{} {}", aim.of, aim.bound),
                interval(aim.found),
                aim.verdict.in_markdown().to_owned(),
                shown(point.per_cpu(&aim.side, against), interval),
            ]
        })
    });
    Table::new(["point", "side", "target", "found", "", "by CPU"]).with(rows)
}

/// The throughput over the size of the working set, for sequential work with all other settings as
/// usual.
fn series_over_working_sets(run: &ReclaimRun) -> impl Iterator<Item = (String, Table)> {
    let rows = rows(run).filter(|(access, _, points)| {
        matches!(access, Access::Read | Access::Load) && points.len() > 1
    });
    rows.map(|(access, temperature, points)| {
        let title = format!(
            "{access}, in sequence, caches {}: bytes a second",
            temperature.name()
        );
        let mut head = vec!["working set / window".to_owned()];
        head.extend(points.iter().map(|point| point.times.to_string()));
        let row = |series: &Series| {
            let sides = points.iter().map(|point| point.side(&series.side));
            let cells = sides.map(|side| shown(side, |one| throughput(one.throughput())));
            [series.side.clone()].into_iter().chain(cells).collect()
        };
        let rows: Vec<Vec<String>> = points[0].series.iter().map(row).collect();
        (title, Table::new(head).with(rows))
    })
}

/// Groups of points that differ only in their working sets.
fn rows(run: &ReclaimRun) -> impl Iterator<Item = (Access, Temperature, Vec<&PointResult>)> {
    let kinds = Access::ALL
        .into_iter()
        .flat_map(|access| [Temperature::Cold, Temperature::Warm].map(|one| (access, one)));
    kinds.map(move |(access, temperature)| {
        let points = over_working_sets(&run.points, access, temperature);
        (access, temperature, points)
    })
}

fn numbers(run: &ReclaimRun) -> Table {
    let mut table = Table::new(HEAD);
    for point in &run.points {
        table
            .rows
            .push(Row::Group(point.name.clone(), point.about.clone()));
        for series in &point.series {
            table.rows.push(Row::Cells(cells(point, series)));
            table.rows.extend(notes(series).map(Row::Note));
        }
        table.rows.extend(point.aims.iter().map(Row::from));
    }
    table
}

fn cells(point: &PointResult, series: &Series) -> Vec<String> {
    let against = |side| shown(point.ratio(&series.side, side), interval);
    let rate = |count_of: fn(&Round) -> Option<u64>| {
        shown(series.median_of(|round| round.rate(count_of(round))), count)
    };
    let busy = |ns: fn(&Round) -> Option<u64>| {
        let share = series.median_of(|round| Some(round.share(ns(round)?)));
        shown(share, |share| format!("{:.0} %", 100.0 * share))
    };
    vec![
        series.side.clone(),
        throughput(series.throughput()),
        against("virtiofsd-auto"),
        shown(
            point.per_cpu(&series.side, "virtiofsd-auto"),
            |found: Estimate| ratio(found.median),
        ),
        against("daxd-none"),
        against("tmpfs"),
        time(series.latency.median_ns as f64),
        time(series.latency.p99_ns as f64),
        busy(|round| round.daemon_cpu_ns),
        busy(|round| Some(round.qemu_cpu_ns)),
        rate(|round| round.inline),
        rate(|round| round.worker),
    ]
}

/// Notes that have no column.
fn notes(series: &Series) -> impl Iterator<Item = String> {
    let mut told = Vec::new();
    let median = |count_of: fn(&Round) -> Option<u64>| {
        series.median_of(|round| count_of(round).map(|number| number as f64))
    };
    let mappings = median(|round| round.set_up).zip(median(|round| round.removed));
    told.extend(
        mappings
            .map(|(set_up, removed)| format!("a turn: {set_up:.0} set up, {removed:.0} removed")),
    );
    let bytes = median(|round| round.mapped_bytes).zip(median(|round| round.used_bytes));
    told.extend(bytes.map(|(mapped, used)| {
        let [mapped, used] = [mapped, used].map(|bytes| bytes / f64::from(1 << 20));
        format!("mapped at the end: {mapped:.1} MiB for {used:.1} of files")
    }));
    let refused = median(|round| round.refused).filter(|refused| *refused > 0.0);
    told.extend(refused.map(|refused| format!("{refused:.0} refused")));
    let (stalls, rounds) = (series.stalls(), series.rounds.len());
    if stalls > 0 {
        told.push(format!(
            "came to a STANDSTILL in {stalls} of {rounds} rounds"
        ));
    }
    let line = (!told.is_empty()).then(|| told.join("; "));
    let asleep = series.blocked().into_iter();
    line.into_iter()
        .chain(asleep.map(|place| format!("  asleep then: {}", place.told())))
}

fn shown<T>(number: Option<T>, how: impl FnOnce(T) -> String) -> String {
    number.map_or_else(|| "-".to_owned(), how)
}

#[cfg(test)]
mod tests;
