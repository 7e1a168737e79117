// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The evidence for each cell of the page.

use serde::Serialize;

use super::view::anchor;
use crate::{
    colour::Tone,
    lab::{Cell, Verdict, grid::Group, latency::Samples, terminal::labels},
};

/// A group's evidence.
#[derive(Debug, Serialize)]
pub struct Evidences<'a> {
    anchor: String,
    case: &'a str,
    kernel: &'a str,
    word: String,
    tone: Tone,
    why: &'a str,
    open: bool,
    cells: Vec<Shown<'a>>,
}

/// The evidence of one repetition.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    cell: &'a Cell,
    tone: Tone,
    contract: &'static str,
    expected: String,
    outcome: &'static str,
    verdict: &'static str,
    wake: Option<String>,
    wake_guest: Option<String>,
    seconds: String,
    /// Whether a reader should look at this repetition first.
    first: bool,
    /// Whether its logs are shown. Further repetitions that were as expected show none, because the
    /// page would become too large to open.
    logs: bool,
}

/// The evidence of the group with this number.
pub fn evidences<'a>(at: usize, group: &Group<'a>) -> Evidences<'a> {
    let worst = group.worst();
    let cells = group.cells.iter().map(|cell| {
        let first = std::ptr::eq(*cell, worst);
        Shown {
            first,
            logs: first || cell.verdict >= Verdict::Unexpected,
            ..shown(cell)
        }
    });
    Evidences {
        anchor: anchor(at),
        case: group.key.case,
        kernel: group.key.kernel,
        word: labels::text(group),
        tone: labels::tone(worst),
        why: &worst.why,
        open: worst.verdict == Verdict::Unexpected,
        cells: cells.collect(),
    }
}

fn shown(cell: &Cell) -> Shown<'_> {
    let expected: Vec<_> = cell.expected.iter().map(|one| one.name()).collect();
    Shown {
        cell,
        tone: labels::tone(cell),
        contract: cell.contract.name(),
        expected: expected.join(" or "),
        outcome: cell.outcome.name(),
        verdict: cell.verdict.name(),
        wake: measured(&cell.evidence.wake_us),
        wake_guest: measured(&cell.evidence.wake_guest_us),
        seconds: format!("{:.2}", cell.seconds),
        first: false,
        logs: true,
    }
}

fn measured(samples: &[u64]) -> Option<String> {
    let some = !samples.is_empty();
    some.then(|| Samples::new(samples.to_vec()).to_string())
}
