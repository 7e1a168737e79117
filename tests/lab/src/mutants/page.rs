// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The table of mutants, as Markdown.

use dax_measure::lab::Run;
use qemu_guest::artifacts::kernel::{Base, Mutant};

use super::fate::{Fate, place};

/// A mutant that was played.
pub struct Line {
    /// The mutant.
    pub mutant: &'static Mutant,
    /// Its results.
    pub run: Run,
    /// What became of it.
    pub fate: Fate,
}

const HEAD: &str = "\
# Mutants: which case notices which wrong hunk

`daxlab mutants --page FILE` writes this page; do not edit it. A mutant is a kernel with one wrong hunk, a file of
[`patches/linux/mutants`](../../../qemu/patches/linux/mutants), built as `build:BASE+mutant-NAME`. The cases that
its file names are played on it and on the kernel without that hunk. A case that passes there and not here kills
the mutant.

```sh
tests/daxlab.sh mutants --list
tests/daxlab.sh mutants --base 7.3 fuse-punch xfs-second-inode
```
";

/// The longest text of a cell of the table.
const LONGEST: usize = 160;

/// The page.
pub fn page(lines: &[Line]) -> String {
    let of = |base: Base| lines.iter().filter(move |line| line.mutant.base == base);
    let sections = Base::ALL.map(|base| section(base, &of(base).collect::<Vec<_>>()));
    format!("{HEAD}{}", sections.concat())
}

fn section(base: Base, lines: &[&Line]) -> String {
    let known = Mutant::ALL.iter().filter(|mutant| mutant.base == base);
    let known: Vec<&Mutant> = known.collect();
    let killed = lines.iter().filter(|line| is_killed(line)).count();
    let mut text = format!("\n## Linux {}\n", base.name());
    let dates = lines.iter().map(|line| date(&line.run));
    if let (Some(first), Some(last)) = (dates.clone().min(), dates.max()) {
        let when = if first == last {
            first.to_owned()
        } else {
            format!("{first} to {last}")
        };
        text += &format!(
            "{}, {when}: {} of {} mutants were played, {killed} of them were killed.\n",
            release(lines),
            lines.len(),
            known.len(),
        );
    }
    text +=
        "\n| mutant | what is wrong, and where | killed by | what it said |\n|---|---|---|---|\n";
    for mutant in known {
        let line = lines.iter().find(|line| line.mutant == mutant);
        text += &row(mutant, line.copied());
    }
    text
}

fn row(mutant: &Mutant, line: Option<&Line>) -> String {
    let (by, said) = match line.map(|line| &line.fate) {
        None => ("not played".to_owned(), String::new()),
        Some(Fate::Killed { by, of }) => {
            let others = match of - 1 {
                0 => String::new(),
                others => format!(" and {others} more"),
            };
            let place = place(by).map_or_else(String::new, |place| format!(" (`{place}`)"));
            let said = format!("{}: {}{place}", by.outcome.name(), shortened(&by.why));
            (format!("`{}`{others}", by.case), said)
        }
        Some(Fate::Survived(cells)) => {
            let missed = mutant.missed();
            let why = missed.unwrap_or_else(|| "the reason is not known".to_owned());
            (format!("**survived** {cells}"), why)
        }
        Some(Fate::Unknown(why)) => ("unknown".to_owned(), shortened(why)),
    };
    format!(
        "| {} | {} `{}` | {by} | {said} |\n",
        mutant.name,
        mutant.title(),
        mutant.place()
    )
}

/// Whether a case has noticed it.
pub fn is_killed(line: &Line) -> bool {
    matches!(line.fate, Fate::Killed { .. })
}

/// The day that a run began.
fn date(run: &Run) -> &str {
    run.started.split(['T', ' ']).next().unwrap_or_default()
}

/// The version, without the name of the mutant.
fn release(lines: &[&Line]) -> String {
    let first = lines.iter().flat_map(|line| &line.run.cells).next();
    let release = first.map_or("", |cell| cell.release.as_str());
    release.split('-').next().unwrap_or_default().to_owned()
}

/// The beginning, in one line, without what would end a cell of a table.
fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ").replace('|', "/");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use dax_measure::lab::fixture;

    use super::*;

    #[test]
    fn each_mutant_has_a_row_played_or_not() {
        let mutant = &Mutant::ALL[0];
        let run = fixture::small();
        let mut by = run.cells[0].clone();
        by.why = "a | b\nc".to_owned();
        let fate = Fate::Killed {
            by: by.into(),
            of: 2,
        };
        let text = page(&[Line { mutant, run, fate }]);
        let rows = text.lines().filter(|line| line.starts_with("| ")).count();
        assert_eq!(rows, Mutant::ALL.len() + Base::ALL.len());
        assert!(text.contains(" and 1 more | "), "{text}");
        assert!(text.contains(": a / b c |"), "{text}");
        assert_eq!(
            text.matches("| not played |").count(),
            Mutant::ALL.len() - 1
        );
    }

    #[test]
    fn a_long_reason_is_cut() {
        assert_eq!(shortened(&"ä".repeat(LONGEST)).chars().count(), LONGEST);
        assert!(shortened(&"ä".repeat(LONGEST + 1)).ends_with("ä…"));
    }
}
