// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The results of a run, as in its `results.json`, and their report.

#![expect(missing_docs, reason = "docs/results.md describes each field")]

use dax_measure::{
    Bound, Head, Results, Section, Sheet, Side, Stored, Table, Target, Verdict,
    quantity::interval,
    stats::{Estimate, median, paired_ratio},
};
use serde::{Deserialize, Serialize};

use crate::reclaim::lines;

/// The version of the format.
pub const SCHEMA: u32 = 1;
/// The side that the others are compared with.
const REFERENCE: &str = "virtiofsd";
/// The number of turns from which on a target gets a verdict.
const SURE_FROM: usize = 3;
/// The largest ratio of a chore's duration to the reference's.
const AT_MOST: f64 = 1.05;

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeRun {
    #[serde(flatten)]
    pub head: Head,
    pub rounds: u32,
    pub window: u64,
    pub files: usize,
    pub bytes: u64,
    pub sides: Vec<Side>,
    pub chores: Vec<ChoreResult>,
}

/// A chore with empty or with warm caches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChoreResult {
    pub chore: String,
    pub caches: String,
    pub times: Vec<Times>,
    pub ratios: Vec<(String, Estimate)>,
    pub aims: Vec<Target>,
}

/// The durations of its turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    pub side: String,
    pub seconds: Vec<f64>,
    pub daemon_cpu_s: Vec<f64>,
}

impl Times {
    pub(super) fn of(side: &str) -> Self {
        Self {
            side: side.to_owned(),
            seconds: Vec::new(),
            daemon_cpu_s: Vec::new(),
        }
    }

    pub(super) fn median(&self) -> f64 {
        median(&self.seconds).unwrap_or(0.0)
    }
}

impl ChoreResult {
    /// Compares the sides, and adds the targets.
    pub(super) fn new(chore: &str, caches: &str, times: Vec<Times>) -> Self {
        let reference = times.iter().find(|one| one.side == REFERENCE);
        let ratio = |one: &Times| {
            let ratio = paired_ratio(&one.seconds, &reference?.seconds)?;
            (one.side != REFERENCE).then(|| (one.side.clone(), ratio))
        };
        let ratios: Vec<_> = times.iter().filter_map(ratio).collect();
        // With fewer turns an interval means nothing.
        let enough = times.iter().all(|one| one.seconds.len() >= SURE_FROM);
        let aim = |(side, ratio): &(String, Estimate)| {
            Target::new(
                side,
                format!("time / {REFERENCE}"),
                Bound::AtMost(AT_MOST),
                *ratio,
            )
        };
        Self {
            chore: chore.to_owned(),
            caches: caches.to_owned(),
            aims: ratios.iter().filter(|_| enough).map(aim).collect(),
            ratios,
            times,
        }
    }
}

impl Stored for TreeRun {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab bench tree";
}

impl Results for TreeRun {
    fn sheet(&self) -> Sheet<'_> {
        let table = Section {
            title: "By chore: seconds, and × virtiofsd's".to_owned(),
            table: Some(table(self)),
            ..Section::default()
        };
        Sheet {
            command: Self::COMMAND,
            head: &self.head,
            settings: format!(
                "{} files of {} MiB, window {} MiB, {} rounds a side",
                self.files,
                self.bytes >> 20,
                self.window >> 20,
                self.rounds
            ),
            sides: lines(&self.sides),
            notes: "! is longer than virtiofsd by more than 5 %, for sure.".to_owned(),
            end: "<!-- end of the tree's numbers -->",
            sections: vec![table],
            targets: self.chores.iter().flat_map(|chore| &chore.aims).collect(),
        }
    }
}

/// A row for each side and a column for each chore: seconds, and the ratio to the reference with
/// its interval.
fn table(run: &TreeRun) -> Table {
    let chores = run.chores.iter();
    let names = chores.map(|one| format!("{}, {}", one.chore, one.caches));
    let head = [String::new()].into_iter().chain(names);
    let sides = run
        .chores
        .first()
        .into_iter()
        .flat_map(|chore| &chore.times);
    let row = |times: &Times| {
        let cells = run.chores.iter().map(|chore| cell(chore, &times.side));
        [times.side.clone()].into_iter().chain(cells).collect()
    };
    Table::new(head).with(sides.map(row))
}

fn cell(chore: &ChoreResult, side: &str) -> String {
    let times = chore.times.iter().find(|times| times.side == side);
    let seconds = times.map(Times::median).unwrap_or(0.0);
    let Some((_, ratio)) = chore.ratios.iter().find(|(of, _)| of == side) else {
        return format!("{seconds:.2} s");
    };
    let missed = chore
        .aims
        .iter()
        .any(|aim| aim.side == side && aim.verdict == Verdict::Missed);
    let mark = if missed { "!" } else { "" };
    format!("{seconds:.2} s, {} ×{mark}", interval(*ratio))
}

#[cfg(test)]
mod tests {
    use dax_measure::fixture::{checked, head};

    use super::*;

    #[test]
    fn a_run_is_told_and_what_is_slower_for_sure_is_marked() {
        let times = |side: &str, seconds: f64| Times {
            seconds: vec![seconds; 3],
            daemon_cpu_s: vec![0.1; 3],
            ..Times::of(side)
        };
        let chore = |name| {
            let all = vec![
                times("virtiofsd", 2.0),
                times("never", 2.08),
                times("min-0", 7.0),
            ];
            ChoreResult::new(name, "empty", all)
        };
        let run = TreeRun {
            head: head(SCHEMA),
            rounds: 3,
            window: 256 << 20,
            files: 20_000,
            bytes: 250 << 20,
            sides: Vec::new(),
            chores: vec![chore("git status"), chore("grep -r")],
        };
        let docs = include_str!("../../docs/results.md");
        let (_, docs) = docs
            .split_once("results.json of `daxlab bench reclaim`")
            .unwrap();
        let [text, document, _] = checked(&run, docs);
        for cell in [
            "\nvirtiofsd                       2.00 s  ",
            "\nnever       2.08 s, 1.04 [1.04 1.04] ×  ",
            "\nmin-0      7.00 s, 3.50 [3.50 3.50] ×!",
            "targets: 2 met, 0 unsure, 2 missed",
        ] {
            assert!(text.contains(cell), "{cell}: {text}");
        }
        assert!(
            document.contains("| never | 2.08 s, 1.04 [1.04 1.04] × |"),
            "{document}"
        );
    }
}
