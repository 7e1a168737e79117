// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab export`.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use dax_cases::cases::{self, Case};
use dax_measure::put;
use glob::Pattern;

use super::Selection;
use crate::cli::{Status, UsageError};

/// Prints a case as a C program that shows its finding without the lab
///
/// The program's first comment says what it needs, how it is compiled and what it prints.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0; 2 for a mistake on this command line, if no case fits, or if a program \
                  in the guest can't show this case by itself."
)]
pub struct ExportArgs {
    /// The case's name
    #[arg(value_name = "CASE", required_unless_present = "list", value_parser = Pattern::new)]
    pub case: Option<Pattern>,

    /// Lists all cases: which have a program, and why the others have none
    #[arg(long, conflicts_with = "case")]
    pub list: bool,
}

/// Writes the program, or the list.
///
/// # Errors
///
/// If not one case matches, the case has no program, or writing to `out` fails.
pub fn run(args: &ExportArgs, out: &mut dyn Write) -> Result<Status> {
    let text = match &args.case {
        Some(name) => program(name)?,
        None => cases::all().into_iter().map(line).collect(),
    };
    put(&text, out)?;
    Ok(Status::Success)
}

fn program(name: &Pattern) -> Result<String, UsageError> {
    let selection = Selection {
        cases: vec![name.clone()],
        ..Selection::default()
    };
    match selection.cases()?.as_slice() {
        [case] => cases::program(*case).map_err(UsageError::NoProgram),
        _ => Err(UsageError::ManyCases),
    }
}

fn line(case: Case) -> String {
    let name = case.name();
    match cases::program(case) {
        Ok(text) => format!("{name}: {} lines\n", text.lines().count()),
        Err(reason) => format!("{name}: no program: {reason}\n"),
    }
}
