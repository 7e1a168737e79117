// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The run for a terminal and for documents.

use std::fmt::Write as _;

use dax_bench::model::Verdict;
use dax_bench::report::{between, grid::markdown, quantity};
use dax_bench::results::Results;

use super::results::{ChoreResult, SCHEMA, Times, TreeRun};

/// The line before the numbers.
const BEGIN: &str = "<!-- numbers of `daxlab bench tree`, made by it: change nothing here -->";
/// The line behind them.
const END: &str = "<!-- end of the tree's numbers -->";

/// A row a side, a column a chore: seconds, and the ratio to the reference's with its interval.
pub fn table(run: &TreeRun) -> String {
    let mut rows = vec![head(run)];
    rows.extend(sides(run).map(|side| row(run, side)));
    let columns = rows[0].len();
    let width = |at: usize| {
        rows.iter()
            .map(|row| row[at].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = about(run);
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        let _ = writeln!(out, "{}", line.trim_end());
    }
    let _ = writeln!(
        out,
        "\n× is time against virtiofsd's; ! is longer by more than 5 %, for sure"
    );
    out
}

/// The document with the run's numbers in place of those that it has. None if it has no marks.
pub fn with_numbers(document: &str, run: &TreeRun) -> Option<String> {
    let rows: Vec<_> = sides(run).map(|side| row(run, side)).collect();
    let text = format!("{}\n{}", about(run), markdown(&head(run), &rows));
    between(document, BEGIN, END, &text)
}

impl Results for TreeRun {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab bench tree";

    fn table(&self) -> String {
        table(self)
    }

    fn page(&self) -> Result<Option<String>, minijinja::Error> {
        Ok(None)
    }

    fn with_numbers(&self, document: &str) -> Option<String> {
        with_numbers(document, self)
    }
}

fn about(run: &TreeRun) -> String {
    let (host, guests) = (&run.host, &run.guests);
    // One for each QEMU.
    let mut kernels: Vec<_> = guests
        .kernels
        .iter()
        .map(|one| one.release.as_str())
        .collect();
    kernels.dedup();
    format!(
        "{}, {} CPUs ({}), Linux {}, load {} at the beginning; {} s.\n\
         Guests: QEMU {} with {}, {} CPUs, {} MiB, Linux {}.\n\
         {} files of {} MiB in {}, window {} MiB, {} rounds a side.\n",
        run.started,
        host.cores,
        host.cpu,
        host.kernel,
        host.load,
        run.took_s,
        guests.qemu,
        guests.accel,
        guests.cpus,
        guests.memory_mib,
        kernels.join(", "),
        run.files,
        run.bytes >> 20,
        host.share_fs,
        run.window >> 20,
        run.rounds,
    )
}

fn head(run: &TreeRun) -> Vec<String> {
    let chores = run
        .chores
        .iter()
        .map(|one| format!("{}, {}", one.chore, one.caches));
    ["".to_owned()].into_iter().chain(chores).collect()
}

fn sides(run: &TreeRun) -> impl Iterator<Item = &str> {
    let first = run.chores.first();
    first
        .into_iter()
        .flat_map(|chore| chore.times.iter().map(|times| times.side.as_str()))
}

fn row(run: &TreeRun, side: &str) -> Vec<String> {
    let cells = run.chores.iter().map(|chore| cell(chore, side));
    [side.to_owned()].into_iter().chain(cells).collect()
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
    format!("{seconds:.2} s, {} ×{mark}", quantity::interval(*ratio))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dax_bench::model::Host;
    use dax_bench::results::{read, write_all};

    use super::*;
    use crate::model::Guests;

    fn run() -> TreeRun {
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
        TreeRun {
            schema: SCHEMA,
            lab_version: "0.1.0".into(),
            started: "2026-01-01T00:00:00Z".into(),
            took_s: 1,
            command: vec!["daxlab".into()],
            host: Host {
                load: 0.5,
                ..Host::here("tmpfs".into())
            },
            guests: Guests {
                qemu: "11.1".into(),
                accel: "tcg".into(),
                cpus: 2,
                memory_mib: 1024,
                kernels: Vec::new(),
            },
            rounds: 3,
            window: 256 << 20,
            files: 20_000,
            bytes: 250 << 20,
            sides: Vec::new(),
            chores: vec![chore("git status"), chore("grep -r")],
        }
    }

    #[test]
    fn what_is_slower_for_sure_is_marked() {
        let text = table(&run());
        assert!(
            text.contains("\nnever      2.08 s, 1.04 [1.04 1.04] ×  "),
            "{text}"
        );
        assert!(
            text.contains("\nmin-0      7.00 s, 3.50 [3.50 3.50] ×!"),
            "{text}"
        );
        assert!(text.contains("\nvirtiofsd  2.00 s  "), "{text}");
    }

    #[test]
    fn numbers_take_the_place_of_numbers() {
        let text = with_numbers(&format!("a\n{BEGIN}\nx\n{END}\nb\n"), &run()).unwrap();
        assert!(
            text.contains("| never | 2.08 s, 1.04 [1.04 1.04] × |"),
            "{text}"
        );
        assert_eq!(with_numbers(&text, &run()), Some(text));
        assert_eq!(with_numbers("no marks", &run()), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write_all(&run(), folder.path()).unwrap();
        let path = folder.path().join("results.json");
        assert_eq!(read::<TreeRun>(&path).unwrap(), run());
        fs::write(&path, "[]").unwrap();
        assert!(
            read::<TreeRun>(&path)
                .unwrap_err()
                .to_string()
                .contains("is no results.json")
        );
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
