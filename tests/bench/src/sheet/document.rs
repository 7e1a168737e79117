// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The tables of a document, which are shorter than those of a page.

use dax_measure::{
    Table,
    quantity::{count, interval, ratio, throughput, time},
};

use super::{rate, shown};
use crate::model::{Measure, Point, Round, Series};

/// Our side with one queue, the reference, and our side with two.
pub fn io(points: &[&Point], cores: u32) -> Table {
    let row = |point: &&Point| {
        let ours = point.series.first();
        let peer = point.side(&point.reference);
        let two = point.series.iter().find(|one| one.side.ends_with("-2q"));
        let both = |number: &dyn Fn(&Series) -> String| {
            let [ours, peer] = [ours, peer].map(|side| side.map_or_else(String::new, number));
            format!("{ours} / {peer}")
        };
        let compared = |measure| {
            let side = ours.map_or("", |series| &series.side);
            shown(point.comparison(side, measure), interval)
        };
        let bound =
            |side: &Series| format!("{} of {}", rate(side), shown(side.bound(cores), count));
        vec![
            point.name.clone(),
            both(&rate),
            compared(Measure::Rate),
            both(&|side| time(side.median_ns as f64)),
            both(&|side| time(side.p99_ns as f64)),
            both(&cpu),
            compared(Measure::DaemonCpu),
            shown(two, bound),
            verdicts(point),
        ]
    };
    Table::new([
        "work/depth",
        "ops/s",
        "×",
        "median",
        "p99",
        "daemon CPU",
        "×",
        "2 queues, of bound",
        "targets",
    ])
    .with(points.iter().map(row))
}

/// A column for each number of live mappings.
pub fn map(points: &[&Point]) -> Table {
    let sides = points[0].series.iter().map(|series| series.side.as_str());
    let sides: Vec<&str> = sides.collect();
    let row = |point: &&Point| {
        let aim = |fits: &dyn Fn(&str) -> bool| {
            let aim = point.aims.iter().find(|aim| fits(&aim.of));
            aim.map(|aim| aim.found)
        };
        let medians = sides.iter().map(|side| {
            let median = |series: &Series| time(series.median_ns as f64);
            shown(point.side(side), median)
        });
        let mut row = vec![point.name.clone()];
        row.extend(medians);
        row.extend([
            shown(aim(&|of| of.contains("memory")), |found| {
                ratio(found.median)
            }),
            shown(aim(&|of| of.ends_with("/ limit")), interval),
            shown(aim(&|of| of.ends_with("/ live-16")), interval),
            verdicts(point),
        ]);
        row
    };
    let mut head = vec!["verb-file-VMM/batch"];
    head.extend(&sides);
    head.extend(["KiB each", "16 / limit", "4096 / 16", "targets"]);
    Table::new(head).with(points.iter().map(row))
}

/// A row for each side.
pub fn window(points: &[&Point]) -> Table {
    let sides = points
        .iter()
        .flat_map(|point| point.series.iter().map(move |series| (point, series)));
    let row = |(point, series): (&&Point, &Series)| {
        vec![
            point.name.clone(),
            series.side.clone(),
            shown(
                series.median_of(|round| Some(round.throughput())),
                throughput,
            ),
            time(series.median_ns as f64),
            time(series.p99_ns as f64),
            cpu(series),
            shown(point.comparison(&series.side, Measure::Rate), interval),
        ]
    };
    Table::new([
        "",
        "by",
        "bytes",
        "median of 2 MiB",
        "p99",
        "daemon CPU",
        "× memcpy",
    ])
    .with(sides.map(row))
}

fn cpu(series: &Series) -> String {
    shown(series.median_of(Round::daemon_cpu), time)
}

/// `met, **missed**`, in the targets' order.
fn verdicts(point: &Point) -> String {
    let names = point.aims.iter().map(|aim| aim.verdict.in_markdown());
    names.collect::<Vec<_>>().join(", ")
}
