// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The run for a terminal, and for documents.

use std::fmt::Write as _;

use super::{
    grid::{Row, columns},
    quantity,
};
use crate::model::{Aim, Measure, Point, Round, Run, Series, Suite, Verdict};

/// What stands above the columns.
const HEAD: [&str; 8] = [
    "point / side",
    "ops/s",
    "median",
    "p99",
    "daemon",
    "driver",
    "rate ×",
    "daemon CPU ×",
];

/// Of operations that move so many bytes it is the bytes a second that one wants to see.
const LARGE: u64 = 64 << 10;

/// All points, with what was aimed at.
pub fn table(run: &Run) -> String {
    let mut out = head(run);
    for suite in [Suite::Io, Suite::Map, Suite::Window] {
        let points: Vec<&Point> = run.points.iter().filter(|p| p.suite == suite).collect();
        if !points.is_empty() {
            let _ = write!(
                out,
                "\n{}\n{}",
                suite.name(),
                points_table(&points, run.host.cores)
            );
        }
    }
    let [met, unsure, missed] = run.tally();
    let _ = writeln!(out, "\naims: {met} met, {unsure} unsure, {missed} missed");
    out
}

fn head(run: &Run) -> String {
    let host = &run.host;
    let mut out = format!(
        "daxlab {}, {}, {} CPUs ({}), Linux {}, share on {}, load {}\n{} rounds of {} s a side\n",
        run.lab_version,
        run.started,
        host.cores,
        host.cpu,
        host.kernel,
        host.share_fs,
        host.load,
        run.settings.rounds,
        run.settings.seconds,
    );
    for side in &run.sides {
        let _ = writeln!(out, "  {}: {}", side.name, side.about);
    }
    out
}

/// These points: a row a side. Ratios are against the point's reference.
pub fn points_table(points: &[&Point], cores: u32) -> String {
    let mut rows: Vec<Row> = vec![Row::Cells(HEAD.map(str::to_owned).to_vec())];
    for point in points {
        rows.push(Row::Line(format!("{}: {}", point.name, point.about)));
        for series in &point.series {
            rows.push(Row::Cells(cells(point, series)));
            rows.extend(facts(series, cores).map(Row::Line));
        }
        rows.extend(point.aims.iter().map(|aim| Row::Line(told(aim))));
    }
    columns(&rows)
}

fn cells(point: &Point, series: &Series) -> Vec<String> {
    let compared = |measure| {
        let found = point.comparison(&series.side, measure);
        found.map_or_else(|| "-".to_owned(), quantity::interval)
    };
    let shown =
        |number: Option<f64>, how: fn(f64) -> String| number.map_or_else(|| "-".to_owned(), how);
    vec![
        format!("  {}", series.side),
        shown(
            series.median_of(|round| Some(round.rate())),
            quantity::count,
        ),
        quantity::time(series.median_ns as f64),
        quantity::time(series.p99_ns as f64),
        shown(series.median_of(Round::daemon_cpu), quantity::time),
        shown(series.median_of(Round::driver_cpu), quantity::time),
        compared(Measure::Rate),
        compared(Measure::DaemonCpu),
    ]
}

/// What has no column: bytes, facts, and the bound of two queues.
fn facts(series: &Series, cores: u32) -> impl Iterator<Item = String> {
    let mut told: Vec<String> = Vec::new();
    let large = |round: &Round| round.bytes >= LARGE * round.operations.max(1);
    let bytes = series.median_of(|round| large(round).then(|| round.throughput()));
    told.extend(bytes.map(quantity::throughput));
    let queues = series.side.ends_with("-2q");
    let bound = series.bound(cores).filter(|_| queues);
    told.extend(bound.map(|bound| format!("{cores} cores leave {} ops/s", quantity::count(bound))));
    told.extend(series.facts.iter().map(|fact| {
        format!(
            "{} {} {}",
            fact.name,
            quantity::ratio(fact.value),
            fact.unit
        )
    }));
    let line = (!told.is_empty()).then(|| format!("      {}", told.join(", ")));
    line.into_iter()
}

/// `  aim: daxd: rate / virtiofsd ≥ 1.3: 1.21 [1.20 1.24] missed`.
pub fn told(aim: &Aim) -> String {
    let mark = if aim.verdict == Verdict::Missed {
        "!"
    } else {
        ""
    };
    format!(
        "    {}: {} {}: {} {}{mark}",
        aim.side,
        aim.of,
        aim.bound,
        quantity::interval(aim.found),
        aim.verdict.name(),
    )
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::*;
    use crate::report::fixture;

    #[test]
    fn each_side_has_a_row_and_each_aim_a_line() {
        let text = table(&fixture::run());
        let row = text
            .lines()
            .find(|line| line.starts_with("  daxd "))
            .unwrap();
        for cell in [
            "50.0k",
            "20.0 us",
            "10.0 us",
            "2.00 [2.00 2.00]",
            "0.50 [0.50 0.50]",
        ] {
            assert!(row.contains(cell), "{cell}: {row}");
        }
        assert!(
            text.contains("    daxd: rate / virtiofsd ≥ 1.3: 2.00 [2.00 2.00] met\n"),
            "{text}"
        );
        assert!(text.contains("2 cores leave"), "{text}");
        assert!(
            text.ends_with("aims: 1 met, 0 unsure, 1 missed\n"),
            "{text}"
        );
    }

    #[test]
    fn columns_are_aligned() {
        let text = table(&fixture::run());
        let (_, io) = text.split_once("\nio\n").unwrap();
        let (io, _) = io.split_once("\nwindow\n").unwrap();
        let rows = io.lines().filter(|line| line.contains(" us  "));
        let widths: Vec<usize> = rows.map(|row| row.width()).collect();
        assert!(
            widths.len() == 3 && widths.iter().all(|w| *w == widths[0]),
            "{text}"
        );
    }
}
