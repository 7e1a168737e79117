// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The wake latencies: their distributions, and the first kernel against the others.

use std::fmt::Write as _;

use super::lists::section;
use super::table::WIDTH;
use crate::{
    latency::Time,
    model::Run,
    summary::{Summary, summaries},
    text,
};

/// From the release, as the server saw it, to the removal's return.
pub fn latencies(run: &Run, out: &mut String) {
    let rows = summaries(run);
    if rows.is_empty() {
        return;
    }
    section("From the release to the removal's return", out);
    let heads = ["n", "min", "median", "p90", "p99", "max"];
    out.push_str(&latency_line(["", ""], heads.map(str::to_owned)));
    for (place, row) in rows.iter().enumerate() {
        let same = |other: &Summary<'_>| (other.fs, other.pin) == (row.fs, row.pin);
        let first = place == 0 || !same(&rows[place - 1]);
        let name = format!("{} {}", row.fs, row.pin);
        let name = if first { name.as_str() } else { "" };
        let wake = row.wake_us;
        let time = |us: Option<u64>| us.map_or_else(String::new, |us| Time(us).to_string());
        let times = [wake.min, wake.median, wake.p90, wake.p99, wake.max].map(time);
        let [min, median, p90, p99, max] = times;
        let figures = [wake.n.to_string(), min, median, p90, p99, max];
        out.push_str(&latency_line([name, row.kernel], figures));
    }
    compared(run, &rows, out);
    woken_in_vain(&rows, out);
}

fn latency_line([name, kernel]: [&str; 2], figures: [String; 6]) -> String {
    let mut line = names(name, kernel);
    let [n, times @ ..] = figures;
    let _ = write!(line, "{n:>5}");
    for time in times {
        let _ = write!(line, " {:>7}", text::clip(&time, 7));
    }
    line.push('\n');
    line
}

/// The columns that a line begins with.
fn names(name: &str, kernel: &str) -> String {
    let (name, kernel) = (text::clip(name, 27), text::clip(kernel, 20));
    let gap = 28 - text::width(&name);
    let second = 21 - text::width(&kernel);
    format!("  {name}{:gap$}{kernel}{:second$}", "", "")
}

/// The first kernel's medians over those of the others, where there are enough samples.
fn compared(run: &Run, rows: &[Summary<'_>], out: &mut String) {
    let Some(first) = run.kernels().first().copied() else {
        return;
    };
    let ratios = rows
        .iter()
        .filter_map(|row| Some((row, row.first_to_this?)));
    let ratios: Vec<_> = ratios.collect();
    if ratios.is_empty() {
        return;
    }
    section(
        &format!("Median of {first} over that of …, with 95 % of confidence"),
        out,
    );
    for (row, ratio) in ratios {
        let name = format!("{} {}", row.fs, row.pin);
        let _ = writeln!(out, "{}{ratio}", names(&name, row.kernel));
    }
}

/// Who was woken and had to wait on, if anybody was.
fn woken_in_vain(rows: &[Summary<'_>], out: &mut String) {
    let vain = rows.iter().filter(|row| row.vain_wakeups > Some(0));
    let vain: Vec<_> = vain.collect();
    if vain.is_empty() {
        return;
    }
    section("Woken in vain", out);
    for row in vain {
        let count = row.vain_wakeups.unwrap_or(0);
        let line = format!("  {count:>5}  {} {} on {}", row.fs, row.pin, row.kernel);
        let _ = writeln!(out, "{}", text::clip(&line, WIDTH));
    }
}
