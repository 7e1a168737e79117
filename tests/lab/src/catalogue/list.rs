// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab list`.

use std::io::Write;

use anyhow::Result;
use clap::{Args, ValueEnum};
use dax_cases::cases::Case;
use dax_measure::put;

use super::Selection;
use super::entry::Entry;
use super::paragraph::{WIDTH, push};
use super::phrases::{KINDS, must_pass, outcomes, phrase};
use crate::cli::{Status, UsageError};

/// Lists the lab's cases: what each does, what the kernel owes, and what is expected of which
///
/// Of each case: its name and contract; what happens; which kinds of kernels must pass (stock: any
/// kernel that is not made by the lab; seed, nowait, nowake: build:6.12+…) and what is expected of
/// the others; where that comes from.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0; 2 for a mistake on this command line, or if no case fits.")]
pub struct ListArgs {
    /// Only cases of this name; * stands for anything
    #[arg(value_name = "NAME|GLOB", value_parser = glob::Pattern::new)]
    pub names: Vec<glob::Pattern>,

    /// Which cases.
    #[command(flatten)]
    pub selection: Selection,

    /// How they are written
    #[arg(long, value_enum, default_value = "pretty")]
    pub format: ListFormat,
}

/// How the list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For people, in 100 columns
    Pretty,
    /// For programs: an array of objects
    Json,
}

/// Writes the list.
///
/// # Errors
///
/// If no case matches, or writing to `out` fails.
pub fn run(args: &ListArgs, out: &mut dyn Write) -> Result<Status> {
    let mut cases = args.selection.cases()?;
    if !args.names.is_empty() {
        cases.retain(|case| args.names.iter().any(|name| name.matches(&case.name())));
    }
    if cases.is_empty() {
        return Err(UsageError::NoCase.into());
    }
    let text = match args.format {
        ListFormat::Pretty => pretty(&cases),
        ListFormat::Json => {
            let entries: Vec<Entry> = cases.iter().map(|case| Entry::of(*case)).collect();
            serde_json::to_string_pretty(&entries)? + "\n"
        }
    };
    put(&text, out)?;
    Ok(Status::Success)
}

fn pretty(cases: &[Case]) -> String {
    let mut text = String::new();
    for case in cases {
        let (name, contract) = (case.name(), phrase(case.contract()));
        let gap = WIDTH.saturating_sub(name.len() + contract.len()).max(1);
        text += &format!("{name}{:gap$}{contract}\n", "");
        push(&mut text, "    ", &case.about());
        push(&mut text, "    ", &expectations(*case));
        push(&mut text, "    ", &format!("from: {}", case.source()));
    }
    let kinds = KINDS.map(|kind| {
        let passing = cases.iter().filter(|case| must_pass(**case, kind)).count();
        format!("{kind} {passing}")
    });
    let (count, plural) = (cases.len(), if cases.len() == 1 { "" } else { "s" });
    let kinds = kinds.join(", ");
    text += &format!("\n{count} case{plural}; must pass on: {kinds}\n");
    text
}

/// Which kinds of kernels must pass, and what is expected of the others. Kinds with the same
/// expectation are joined.
fn expectations(case: Case) -> String {
    let mut groups: Vec<(Vec<String>, bool, String)> = Vec::new();
    for kind in KINDS {
        let (passes, what) = (must_pass(case, kind), outcomes(case, kind));
        match groups.iter_mut().find(|group| group.2 == what) {
            Some(group) => group.0.push(kind.to_string()),
            None => groups.push((vec![kind.to_string()], passes, what)),
        }
    }
    let group = |(kinds, passes, what): (Vec<String>, bool, String)| {
        let must = if passes { "must pass" } else { "expected" };
        format!("{}: {must}, {what}", kinds.join(", "))
    };
    let words: Vec<String> = groups.into_iter().map(group).collect();
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dax_cases::cases;

    #[test]
    fn all_cases_fit_into_the_width() {
        let text = pretty(&cases::all());
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
        assert!(text.contains("matrix::xfs::vmsplice::punch  "), "{text}");
        let (last, all) = (text.lines().last().unwrap(), cases::all().len());
        assert!(
            last.starts_with(&format!("{all} cases; must pass on: stock ")),
            "{last}"
        );
    }

    #[test]
    fn kinds_of_one_expectation_are_told_together() {
        let all = cases::all();
        let of = |name: &str| {
            let case = all.iter().find(|case| case.name() == name);
            expectations(*case.unwrap())
        };
        assert_eq!(
            of("matrix::xfs::vmsplice::unlink"),
            "stock, newer, 6.1, seed, nowait, nowake: must pass, proceeded"
        );
        assert_eq!(
            of("matrix::ext4::dio-read::truncate"),
            "stock, newer, seed: must pass, waited; \
             6.1, nowake: expected, stuck; nowait: expected, harmed"
        );
    }
}
