// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The parts of the report around the matrix.

use std::fmt::Write as _;

use super::{
    labels::{self, LEGEND},
    matrix::label,
    table::WIDTH,
};
use crate::{
    Colour,
    lab::{
        Cell, Run, Verdict,
        grid::{Group, grouped, groups},
    },
    text,
};

/// A kernel that never waits fails in every cell, so only the first ones are shown.
const SHOWN: usize = 30;

/// The host and the time.
pub fn heading(run: &Run, out: &mut String) {
    let host = &run.host;
    let mut line = format!(
        "daxlab {}, {}, QEMU {} with {}, {} CPUs ({}), Linux {}",
        run.lab_version, run.started, host.qemu, host.accel, host.cores, host.cpu, host.kernel
    );
    if let Some(shard) = run.shard {
        let _ = write!(line, ", shard {shard}");
    }
    wrapped("", &line, out);
    if run.cells.is_empty() {
        out.push_str("\nThere are no cells in this run.\n");
    }
}

/// The cases that have no place in the matrix.
pub fn named(run: &Run, colour: Colour, out: &mut String) {
    let named = run.cells.iter().filter(|cell| cell.place().is_none());
    let groups = groups(named);
    for kernel in run.kernels() {
        let of_kernel = groups.iter().filter(|group| group.key.kernel == kernel);
        let lines: Vec<_> = of_kernel.collect();
        if lines.is_empty() {
            continue;
        }
        section(&format!("Named cases on {}", label(run, kernel)), out);
        let wide = lines.iter().map(|group| labels::text(group).len()).max();
        for group in lines {
            let (text, wide) = (labels::text(group), wide.unwrap_or(0));
            out.push_str("  ");
            colour.push(labels::tone(group.worst()), &text, out);
            let gap = wide - text.len() + 2;
            let _ = write!(out, "{:gap$}", "");
            let line = format!("{}: {}", group.key.case, group.worst().why);
            out.push_str(&text::clip(&line, WIDTH - wide - 4));
            out.push('\n');
        }
    }
}

/// Each group that needs attention, with the expectation and the reason of its verdict.
pub fn unexpected(run: &Run, colour: Colour, out: &mut String) {
    let groups = groups(&run.cells);
    let bad = |group: &&Group<'_>| group.verdict() >= Verdict::Unexpected;
    let groups: Vec<_> = groups.iter().filter(bad).collect();
    if groups.is_empty() {
        return;
    }
    section("Not as expected", out);
    for group in groups.iter().take(SHOWN) {
        let cell = group.worst();
        out.push_str("  ");
        let id = text::clip(&cell.id(), WIDTH - 2);
        colour.push(labels::tone(cell), &id, out);
        out.push('\n');
        wrapped("    ", &judged(cell), out);
        if let Some(harm) = &cell.evidence.harm {
            wrapped("    ", &format!("harm: {harm}"), out);
        }
    }
    if groups.len() > SHOWN {
        let more = groups.len() - SHOWN;
        let _ = writeln!(out, "  and {more} more: see results.json and report.html");
    }
}

/// The expectation, the outcome, and the reason of the verdict.
pub fn judged(cell: &Cell) -> String {
    let why = &cell.why;
    if cell.verdict == Verdict::LabError {
        return format!("the lab failed: {why}");
    }
    let expected: Vec<_> = cell.expected.iter().map(|one| one.name()).collect();
    let expected = expected.join(" or ");
    let contract = cell.contract.name();
    let outcome = cell.outcome.name();
    // A complaint, an error or a signal is not the one that the case stands for.
    if cell.expected.contains(&cell.outcome) && cell.verdict == Verdict::Unexpected {
        return format!("{outcome} ({contract}), but {why}");
    }
    format!("{outcome}, not {expected} ({contract}): {why}")
}

/// The number of skipped cells, by reason.
pub fn skipped(run: &Run, out: &mut String) {
    let skipped = run.cells.iter().filter(|c| c.verdict == Verdict::Skipped);
    let reasons = grouped(skipped, |cell| cell.why.as_str());
    if reasons.is_empty() {
        return;
    }
    section("Skipped", out);
    for (reason, cells) in reasons {
        wrapped("  ", &format!("{}: {reason}", cells.len()), out);
    }
}

/// The meanings of the words that appear.
pub fn legend(run: &Run, out: &mut String) {
    let used = |word: &str| run.cells.iter().any(|cell| labels::word(cell) == word);
    let known = LEGEND.iter().filter(|(word, _)| used(word));
    let mut parts: Vec<_> = known.map(|(word, says)| format!("{word} {says}")).collect();
    if parts.is_empty() {
        return;
    }
    let groups = groups(&run.cells);
    if groups.iter().any(|g| g.verdict() >= Verdict::Unexpected) {
        parts.push("! not as expected".into());
    }
    if groups.iter().any(|g| g.verdict() == Verdict::Fixed) {
        parts.push("+ right, and known to be wrong on this kernel: fixed".into());
    }
    let many = groups.iter().find(|group| group.cells.len() > 1);
    if many.is_some() {
        parts.push("*3 all of 3 repetitions; 1/3 one of 3, the others no worse".into());
    }
    out.push('\n');
    wrapped("", &parts.join("; "), out);
}

pub(super) fn section(title: &str, out: &mut String) {
    let _ = write!(out, "\n{}\n", text::clip(title, WIDTH));
}

fn wrapped(indent: &str, line: &str, out: &mut String) {
    for line in text::wrap(line, WIDTH - indent.len()) {
        let _ = writeln!(out, "{indent}{line}");
    }
}
