// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Compares a file with a pattern.

use anyhow::Result;

use super::part::PartArgs;
use crate::cli::Verdict;
use crate::file;

/// Pass where part of a file holds the pattern of a seed; prints the first mismatch otherwise.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    target: PartArgs,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let target = &args.target;
    match file::verify(&target.path, target.part(), target.seed(), target.how)? {
        Ok(()) => println!("verified {} bytes", target.len),
        Err(mismatch) => {
            println!("{mismatch}");
            return Ok(Verdict::Fail);
        }
    }
    Ok(Verdict::Pass)
}
