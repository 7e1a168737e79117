// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What each cell of the page leads to.

use serde::Serialize;

use super::view::{anchor, tone};
use crate::{
    groups::Group,
    latency::Distribution,
    model::{Cell, Verdict},
    pretty::words,
};

/// A group's evidence.
#[derive(Debug, Serialize)]
pub struct Evidences<'a> {
    anchor: String,
    case: &'a str,
    kernel: &'a str,
    word: String,
    tone: &'static str,
    why: &'a str,
    open: bool,
    cells: Vec<Shown<'a>>,
}

/// One repetition's.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    cell: &'a Cell,
    tone: &'static str,
    contract: &'static str,
    expected: String,
    outcome: &'static str,
    verdict: &'static str,
    wake: Option<String>,
    wake_guest: Option<String>,
    seconds: String,
    /// Whether it is the one to look at first.
    first: bool,
    /// Whether its logs are shown: not those of further repetitions that were as expected, which
    /// would make the page too large to open.
    logs: bool,
}

/// The evidence of the group at a place.
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
        word: words::text(group),
        tone: tone(worst),
        why: &worst.why,
        open: worst.verdict == Verdict::Unexpected,
        cells: cells.collect(),
    }
}

fn shown(cell: &Cell) -> Shown<'_> {
    let expected: Vec<_> = cell.expected.iter().map(|one| one.name()).collect();
    Shown {
        cell,
        tone: tone(cell),
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
    some.then(|| Distribution::new(samples.to_vec()).to_string())
}
