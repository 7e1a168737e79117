// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The results of a run, as in its `results.json`, and their report.

#![expect(missing_docs, reason = "docs/results.md describes each field")]

use dax_measure::{Head, Line, Results, Section, Sheet, Stored, Table};
use serde::{Deserialize, Serialize};

use super::{Account, picture};

/// The version of the format.
pub const SCHEMA: u32 = 1;

impl Stored for MemoryRun {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab bench memory";
}

/// The results of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRun {
    #[serde(flatten)]
    pub head: Head,
    pub file: u64,
    pub series: Vec<Series>,
}

/// More and more guests of one side that read in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    pub side: String,
    pub about: String,
    pub access: String,
    pub command: String,
    pub points: Vec<Point>,
}

/// A number of guests that have read the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub guests: usize,
    pub grown: Account,
    pub total: Account,
}

impl Results for MemoryRun {
    fn sheet(&self) -> Sheet<'_> {
        let sections = tables(self).map(|(title, table)| Section {
            title,
            table: Some(table),
            ..Section::default()
        });
        let line = |series: &Series| Line {
            name: format!("{}, {}", series.side, series.access),
            about: series.about.clone(),
            command: series.command.clone(),
        };
        Sheet {
            command: Self::COMMAND,
            head: &self.head,
            settings: format!("a file of {} MiB", self.file >> 20),
            sides: self.series.iter().map(line).collect(),
            notes: "Each guest reads all of the file; what has grown meanwhile is what that took."
                .to_owned(),
            end: "<!-- end of the memory's numbers -->",
            sections: sections.into(),
            targets: Vec::new(),
        }
    }

    fn pictures(&self) -> Vec<(&'static str, String)> {
        vec![picture(self)]
    }
}

fn tables(run: &MemoryRun) -> [(String, Table); 2] {
    let points = || run.series.iter().flat_map(|series| &series.points);
    let mut counts: Vec<usize> = points().map(|point| point.guests).collect();
    counts.sort_unstable();
    counts.dedup();
    let title = "MiB of the host's memory that reading the file took, by the number of guests";
    let head = counts.iter().map(usize::to_string);
    let head = ["side".to_owned(), "read by".to_owned()]
        .into_iter()
        .chain(head);
    let row = |series: &Series| {
        let cost = |guests: &usize| {
            let point = series.points.iter().find(|point| point.guests == *guests);
            point.map_or("-".into(), |point| mib(point.grown.cost()))
        };
        let names = [series.side.clone(), series.access.clone()];
        names.into_iter().chain(counts.iter().map(cost)).collect()
    };
    let all = Table::new(head).with(run.series.iter().map(row));
    [(title.to_owned(), all), parts(run)]
}

/// The parts of the memory of the largest number of guests.
fn parts(run: &MemoryRun) -> (String, Table) {
    let title = "The most guests in MiB: what grew while they read, and at last all that they have";
    let head = [
        "side",
        "read by",
        "guests",
        "guests' and processes' own",
        "the file, cached",
        "page tables",
        "MemAvailable fell by",
        "PSS: mapped files",
        "PSS of all at last",
    ];
    let row = |series: &Series| {
        let Point {
            guests,
            grown,
            total,
        } = series.points.last()?;
        let cells = [
            grown.private,
            grown.cached,
            grown.page_tables,
            -grown.available,
            grown.mapped_files,
            total.private + total.mapped_files,
        ];
        let names = [
            series.side.clone(),
            series.access.clone(),
            guests.to_string(),
        ];
        Some(names.into_iter().chain(cells.map(mib)).collect())
    };
    let table = Table::new(head).with(run.series.iter().filter_map(row));
    (title.to_owned(), table)
}

fn mib(bytes: i64) -> String {
    let mib = (bytes as f64 / f64::from(1 << 20)).round() as i64;
    mib.to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use dax_measure::fixture::{checked, head};

    use super::*;
    use crate::memory::Account;

    const MIB: i64 = 1 << 20;

    /// A side whose guests take this many MiB each, with a file of 256 MiB.
    pub(in super::super) fn series(side: &str, access: &str, each: i64) -> Series {
        let point = |guests: usize| {
            let grown = Account {
                private: each * guests as i64 * MIB,
                cached: 256 * MIB,
                page_tables: MIB,
                mapped_files: 3 * MIB,
                available: -7 * MIB,
            };
            let booted = Account {
                private: 100 * MIB,
                ..Account::default()
            };
            Point {
                guests,
                grown,
                total: grown + booted,
            }
        };
        Series {
            side: side.to_owned(),
            about: String::new(),
            access: access.to_owned(),
            command: String::new(),
            points: [1, 2, 4, 8].map(point).into(),
        }
    }

    pub(in super::super) fn run() -> MemoryRun {
        MemoryRun {
            head: head(SCHEMA),
            file: 256 << 20,
            series: vec![
                series("daxd-512M", "read", 1),
                series("daxd-none", "read", 256),
                series("daxd-512M", "load", 2),
            ],
        }
    }

    #[test]
    fn a_run_is_told_with_what_each_guest_takes() {
        let docs = include_str!("../../docs/results.md");
        let (_, docs) = docs
            .split_once("results.json of `daxlab bench reclaim`")
            .unwrap();
        let [text, document, _] = checked(&run(), docs);
        let row = |line: &str| {
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let rows: Vec<_> = text.lines().map(row).collect();
        for wanted in [
            "daxd-none read 513 769 1281 2305",
            "daxd-512M load 259 261 265 273",
            "daxd-none read 8 2048 256 1 7 3 2151",
        ] {
            assert!(rows.contains(&row(wanted)), "{wanted}: {text}");
        }
        assert!(
            document.contains("| daxd-none | read | 513 | 769 | 1281 | 2305 |"),
            "{document}"
        );
    }
}
