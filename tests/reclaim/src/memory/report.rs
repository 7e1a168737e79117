// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The run for a terminal and for documents.

use dax_bench::report::between;
use dax_bench::report::grid::{Row, columns, markdown};
use dax_bench::results::Results;

use super::{MemoryRun, Point, SCHEMA, Series};

/// The line before the numbers.
const BEGIN: &str = "<!-- numbers of `daxlab bench memory`, made by it: change nothing here -->";
/// The line behind them.
const END: &str = "<!-- end of the memory's numbers -->";

impl Results for MemoryRun {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab bench memory";

    fn table(&self) -> String {
        let tables = tables(self).map(|(title, head, cells)| {
            let mut rows = vec![Row::Line(String::new()), Row::Line(title), Row::Cells(head)];
            rows.extend(cells.into_iter().map(Row::Cells));
            columns(&rows)
        });
        about(self) + &tables.concat()
    }

    fn page(&self) -> Result<Option<String>, minijinja::Error> {
        Ok(None)
    }

    fn with_numbers(&self, document: &str) -> Option<String> {
        let tables = tables(self).map(|(title, head, rows)| {
            let table = markdown(&head, &rows);
            format!("\n{title}:\n\n{table}")
        });
        let text = about(self) + &tables.concat();
        between(document, BEGIN, END, &text)
    }
}

fn about(run: &MemoryRun) -> String {
    let (host, guests) = (&run.host, &run.guests);
    let kernels = guests.kernels.iter().map(|kernel| kernel.release.as_str());
    format!(
        "{}, {} CPUs ({}), {} GiB, Linux {}; {} s.\n\
         Guests: QEMU {} with {}, {} CPUs, {} MiB, Linux {}. A file of {} MiB on {}.\n",
        run.started,
        host.cores,
        host.cpu,
        host.memory_mib.div_ceil(1024),
        host.kernel,
        run.took_s,
        guests.qemu,
        guests.accel,
        guests.cpus,
        guests.memory_mib,
        kernels.collect::<Vec<_>>().join(", "),
        run.file >> 20,
        host.share_fs,
    )
}

type Table = (String, Vec<String>, Vec<Vec<String>>);

fn tables(run: &MemoryRun) -> [Table; 2] {
    let points = || run.series.iter().flat_map(|series| &series.points);
    let mut counts: Vec<usize> = points().map(|point| point.guests).collect();
    counts.sort_unstable();
    counts.dedup();
    let title = "MiB of the host's memory that reading the file took, by the number of guests";
    let head = counts.iter().map(usize::to_string);
    let head = ["side".into(), "read by".into()].into_iter().chain(head);
    let row = |series: &Series| {
        let cost = |guests: &usize| {
            let point = series.points.iter().find(|point| point.guests == *guests);
            point.map_or("-".into(), |point| mib(point.grown.cost()))
        };
        let names = [series.side.clone(), series.access.clone()];
        names.into_iter().chain(counts.iter().map(cost)).collect()
    };
    let all = run.series.iter().map(row).collect();
    [(title.to_owned(), head.collect(), all), parts(run)]
}

/// What the most guests' memory is made of.
fn parts(run: &MemoryRun) -> Table {
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
    (
        title.to_owned(),
        head.map(str::to_owned).into(),
        run.series.iter().filter_map(row).collect(),
    )
}

fn mib(bytes: i64) -> String {
    let mib = (bytes as f64 / f64::from(1 << 20)).round() as i64;
    mib.to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use dax_bench::model::Host;
    use dax_bench::results::{read, write_all};

    use super::*;
    use crate::memory::Account;
    use crate::model::Guests;

    const MIB: i64 = 1 << 20;

    /// A side whose guests take so many MiB each, of a file of 256.
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
            schema: SCHEMA,
            lab_version: "0.1.0".into(),
            started: "2026-01-01T00:00:00Z".into(),
            took_s: 1,
            command: vec!["daxlab".into()],
            host: Host {
                load: 0.5,
                ..Host::here("ext4".into())
            },
            guests: Guests {
                qemu: "11.1".into(),
                accel: "tcg".into(),
                cpus: 1,
                memory_mib: 512,
                kernels: Vec::new(),
            },
            file: 256 << 20,
            series: vec![
                series("daxd-512M", "read", 1),
                series("daxd-none", "read", 256),
                series("daxd-512M", "load", 2),
            ],
        }
    }

    #[test]
    fn what_each_guest_takes_is_told() {
        let text = run().table();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        for row in [
            "daxd-none read 513 769 1281 2305",
            "daxd-512M load 259 261 265 273",
            "daxd-none read 8 2048 256 1 7 3 2151",
        ] {
            let row: Vec<&str> = row.split(' ').collect();
            assert!(rows.contains(&row), "{text}");
        }
    }

    #[test]
    fn numbers_take_the_place_of_numbers() {
        let text = run().with_numbers(&format!("a\n{BEGIN}\nx\n{END}\nb\n"));
        let text = text.unwrap();
        assert!(
            text.contains("| daxd-none | read | 513 | 769 | 1281 | 2305 |"),
            "{text}"
        );
        assert_eq!(run().with_numbers(&text), Some(text));
        assert_eq!(run().with_numbers("no marks"), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write_all(&run(), folder.path()).unwrap();
        let path = folder.path().join("results.json");
        assert_eq!(read::<MemoryRun>(&path).unwrap(), run());
    }

    #[test]
    fn each_field_is_documented() {
        let value = serde_json::to_value(run()).unwrap();
        let docs = include_str!("../../docs/results.md");
        for field in lab_report::fixture::fields(&value) {
            assert!(docs.contains(&format!("`{field}`")), "{field}");
        }
    }
}
