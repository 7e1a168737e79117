// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Writes a pattern.

use anyhow::Result;

use super::part::PartArgs;
use crate::cli::Verdict;
use crate::file;

/// Writes the pattern of a seed to part of a file, which is created and made longer as needed.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: PartArgs,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let target = &args.target;
    file::fill(&target.path, target.part(), target.seed(), target.how)?;
    println!("filled {} bytes", target.len);
    Ok(Verdict::Pass)
}
