// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab explain`.

use std::io::Write;

use anyhow::Result;
use clap::Args;
use dax_cases::cases::Case;
use dax_cases::host::FileSystem;
use dax_measure::put;
use glob::Pattern;

use super::Selection;
use super::paragraph::push;
use super::phrases::{KINDS, held, kernels, meaning, must_pass, outcomes, phrase, reason};
use crate::cli::Status;

/// Tells all of a case: where, the pin, the removal, the contract, what is expected and why
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0; 2 for a mistake on this command line, or if no case fits.")]
pub struct ExplainArgs {
    /// The case's name, or a pattern in which * stands for anything
    #[arg(value_name = "CASE", required = true, value_parser = Pattern::new)]
    pub cases: Vec<Pattern>,
}

/// Writes the explanations.
///
/// # Errors
///
/// If no case matches, or writing to `out` fails.
pub fn run(args: &ExplainArgs, out: &mut dyn Write) -> Result<Status> {
    let selection = Selection {
        cases: args.cases.clone(),
        ..Selection::default()
    };
    let texts: Vec<String> = selection.cases()?.into_iter().map(text).collect();
    put(&texts.join("\n"), out)?;
    Ok(Status::Success)
}

fn text(case: Case) -> String {
    let mut text = case.name() + "\n";
    let mut part = |head: &str, words: &str| push(&mut text, &format!("  {head:<10}"), words);
    part("where", &place(case.fs()));
    match (case.pin(), case.removal()) {
        (Some(pin), Some(removal)) => {
            part(
                "pin",
                &format!("{}: {}", pin.reference().name(), pin.about()),
            );
            part("held", held(pin));
            part("removal", removal.about());
        }
        _ => part("course", &case.about()),
    }
    let contract = case.contract();
    part(
        "contract",
        &format!("{}: {}", phrase(contract), meaning(contract)),
    );
    for (index, kind) in KINDS.into_iter().enumerate() {
        let must = if must_pass(case, kind) {
            "must pass"
        } else {
            "expected"
        };
        let words = format!(
            "{kind} ({}): {must}, {}; {}",
            kernels(kind),
            outcomes(case, kind),
            reason(case, kind)
        );
        part(if index == 0 { "kernels" } else { "" }, &words);
    }
    part("from", case.source());
    part("run it", &format!("daxlab test --case {}", case.name()));
    text
}

fn place(fs: FileSystem) -> String {
    let what = match fs {
        FileSystem::Fuse => "virtio-fs with a DAX window of 16 MiB, a share of virtiofs-daxd",
        FileSystem::Ext4 => "ext4 with -o dax=always on virtio-pmem",
        FileSystem::Xfs => "xfs with -o dax=always and reflink on virtio-pmem",
    };
    format!(
        "{what}, at {}; proven by the mount table and by STATX_ATTR_DAX of the very file",
        fs.mount_point()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use dax_cases::cases;

    #[test]
    fn a_cell_of_the_matrix_is_told_whole() {
        let all = cases::all();
        let case = all
            .iter()
            .find(|case| case.name() == "matrix::fuse::vmsplice::truncate");
        let text = text(*case.unwrap());
        for told in [
            "where     virtio-fs",
            "pin       FOLL_GET: vmsplice(2)",
            "held      until the pipe",
            "removal   truncate(2) to length 0",
            "contract  must wait:",
            "stock (debian:6.12, ",
            "newer (debian:latest, ",
            "SIGBUS",
            "nowake (build:6.12+nowake): expected, stuck",
            "from      fs/fuse/dax.c",
            "run it    daxlab test --case matrix::fuse::vmsplice::truncate",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }

    #[test]
    fn every_case_can_be_told() {
        for case in cases::all() {
            let text = text(case);
            assert!(
                text.lines().all(|line| line.chars().count() <= 100),
                "{text}"
            );
        }
    }
}
