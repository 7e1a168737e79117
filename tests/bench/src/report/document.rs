// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The numbers of a document: tables in Markdown between two marks, around which people write.

use std::fmt::Write as _;

use super::{
    grid::markdown,
    quantity::{self, count, interval, throughput, time},
};
use crate::model::{Measure, Point, Round, Run, Series, Suite, Verdict};

/// The line before the numbers.
const BEGIN: &str = "<!-- numbers of `daxlab bench`, made by it: change nothing here -->";
/// The line behind them.
const END: &str = "<!-- end of the numbers -->";

/// The document with the run's numbers in place of those that it has. None if it has no marks.
pub fn with_numbers(document: &str, run: &Run) -> Option<String> {
    between(document, BEGIN, END, &numbers(run))
}

/// The document with other text between two lines of it. None if it has no such lines.
pub fn between(document: &str, begin: &str, end: &str, text: &str) -> Option<String> {
    let (before, rest) = document.split_once(begin)?;
    let (_, after) = rest.split_once(end)?;
    Some(format!("{before}{begin}\n{text}{end}{after}"))
}

fn numbers(run: &Run) -> String {
    let host = &run.host;
    let mut out = format!(
        "{}, {} CPUs ({}), {} GiB, Linux {}; share on {}.\n\
         Load at the beginning {}; {} rounds of {} s a side.\n",
        run.started,
        host.cores,
        host.cpu,
        host.memory_mib.div_ceil(1024),
        host.kernel,
        host.share_fs,
        host.load,
        run.settings.rounds,
        run.settings.seconds,
    );
    let [met, unsure, missed] = run.tally();
    let _ = writeln!(out, "Aims: {met} met, {unsure} unsure, {missed} missed.");
    for (suite, table) in [
        (Suite::Io, io as fn(&[&Point], u32) -> String),
        (Suite::Map, map),
        (Suite::Window, window),
    ] {
        let points: Vec<&Point> = run.points.iter().filter(|p| p.suite == suite).collect();
        if !points.is_empty() {
            let _ = write!(
                out,
                "\n### {}\n{}",
                suite.name(),
                table(&points, host.cores)
            );
        }
    }
    out
}

/// Our side with one queue, the reference, and our side with two.
fn io(points: &[&Point], cores: u32) -> String {
    let mut rows = Vec::new();
    for point in points {
        let ours = point.series.first();
        let peer = point.side(&point.reference);
        let two = point
            .series
            .iter()
            .find(|series| series.side.ends_with("-2q"));
        let both = |number: &dyn Fn(&Series) -> String| {
            let [ours, peer] = [ours, peer].map(|side| side.map_or_else(String::new, number));
            format!("{ours} / {peer}")
        };
        let compared = |measure| {
            let side = ours.map_or("", |series| &series.side);
            point
                .comparison(side, measure)
                .map_or_else(String::new, interval)
        };
        let bound = |side: &Series| {
            let bound = side.bound(cores).map_or_else(String::new, count);
            format!("{} of {bound}", rate(side))
        };
        rows.push(vec![
            point.name.clone(),
            both(&rate),
            compared(Measure::Rate),
            both(&|side| time(side.median_ns as f64)),
            both(&|side| time(side.p99_ns as f64)),
            both(&cpu),
            compared(Measure::DaemonCpu),
            two.map_or_else(String::new, bound),
            verdicts(point),
        ]);
    }
    markdown(
        &[
            "work/depth",
            "ops/s",
            "×",
            "median",
            "p99",
            "daemon CPU",
            "×",
            "2 queues, of bound",
            "aims",
        ],
        &rows,
    )
}

/// A column for each number of live mappings.
fn map(points: &[&Point], _: u32) -> String {
    let sides: Vec<&str> = points[0]
        .series
        .iter()
        .map(|series| series.side.as_str())
        .collect();
    let mut rows = Vec::new();
    for point in points {
        let mut row = vec![point.name.clone()];
        row.extend(sides.iter().map(|side| {
            let median = |series: &Series| time(series.median_ns as f64);
            point.side(side).map_or_else(String::new, median)
        }));
        let memory = point.aims.iter().find(|aim| aim.of.contains("memory"));
        row.push(memory.map_or_else(String::new, |aim| quantity::ratio(aim.found.median)));
        let ratio = |to: &str| {
            let aim = point.aims.iter().find(|aim| aim.of.ends_with(to));
            aim.map_or_else(String::new, |aim| interval(aim.found))
        };
        row.extend([ratio("/ limit"), ratio("/ live-16"), verdicts(point)]);
        rows.push(row);
    }
    let mut head = vec!["verb-file-VMM/batch"];
    head.extend(sides);
    head.extend(["KiB each", "16 / limit", "4096 / 16", "aims"]);
    markdown(&head, &rows)
}

/// A row a side.
fn window(points: &[&Point], _: u32) -> String {
    let sides = points
        .iter()
        .flat_map(|point| point.series.iter().map(move |s| (point, s)));
    let row = |(point, series): (&&Point, &Series)| {
        let compared = point.comparison(&series.side, Measure::Rate);
        let bytes = series.median_of(|round| Some(round.throughput()));
        vec![
            point.name.clone(),
            series.side.clone(),
            bytes.map_or_else(String::new, throughput),
            time(series.median_ns as f64),
            time(series.p99_ns as f64),
            cpu(series),
            compared.map_or_else(String::new, interval),
        ]
    };
    let rows: Vec<_> = sides.map(row).collect();
    let head = [
        "",
        "by",
        "bytes",
        "median of 2 MiB",
        "p99",
        "daemon CPU",
        "× memcpy",
    ];
    markdown(&head, &rows)
}

fn rate(series: &Series) -> String {
    let rate = series.median_of(|round| Some(round.rate()));
    rate.map_or_else(String::new, count)
}

fn cpu(series: &Series) -> String {
    series
        .median_of(Round::daemon_cpu)
        .map_or_else(|| "-".to_owned(), time)
}

/// `met, missed`, in the aims' order.
fn verdicts(point: &Point) -> String {
    let names = point.aims.iter().map(|aim| match aim.verdict {
        Verdict::Missed => "**missed**",
        other => other.name(),
    });
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn numbers_take_the_place_of_numbers() {
        let document = format!("above\n{BEGIN}\nold\n{END}\nbelow\n");
        let text = with_numbers(&document, &fixture::run()).unwrap();
        assert!(text.starts_with("above\n") && text.ends_with("\nbelow\n"));
        assert!(!text.contains("old"));
        assert!(
            text.contains("| getattr/1 | 50.0k / 25.0k | 2.00 [2.00 2.00] |"),
            "{text}"
        );
        assert!(text.contains("| met, **missed** |"), "{text}");
        assert!(text.contains("| warm | window |"), "{text}");
        assert_eq!(with_numbers(&text, &fixture::run()), Some(text));
    }

    #[test]
    fn a_document_without_marks_is_left_alone() {
        assert_eq!(with_numbers("no marks", &fixture::run()), None);
    }
}
