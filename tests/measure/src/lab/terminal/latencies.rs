// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The wake latencies: their distributions, and the first kernel against the others.

use std::fmt::Write as _;

use super::lists::section;
use super::table::WIDTH;
use crate::{
    Table,
    lab::{
        Run,
        summary::{Summary, figures, summaries},
    },
    text,
};

/// The time from the release, measured by the server, to the removal's return.
pub fn latencies(run: &Run, out: &mut String) {
    let rows = summaries(run);
    if rows.is_empty() {
        return;
    }
    section("From the release to the removal's return", out);
    out.push_str(&figures(&rows).columns());
    compared(run, &rows, out);
    woken_in_vain(&rows, out);
}

/// The first kernel's medians divided by those of the others, if there are enough samples.
fn compared(run: &Run, rows: &[Summary<'_>], out: &mut String) {
    let ratio = |row: &Summary<'_>| {
        let [name, kernel] = row.names();
        Some(vec![name, kernel, row.first_to_this?.to_string()])
    };
    let ratios: Vec<_> = rows.iter().filter_map(ratio).collect();
    if let (Some(first), false) = (run.kernels().first(), ratios.is_empty()) {
        let title = format!("Median of {first} over that of …, with 95 % of confidence");
        section(&title, out);
        out.push_str(&Table::new(["", "", ""]).with(ratios).columns());
    }
}

/// The spurious wake-ups, if there were any.
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
