// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Hashes whole files, so that both sides can compare what neither knows beforehand.

use std::path::PathBuf;

use anyhow::Result;

use crate::access::How;
use crate::cli::Verdict;
use crate::file;

/// Prints `HASH SIZE PATH` for each file; XXH3-64, in hexadecimal.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files to read.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// In which way.
    #[arg(long, value_enum)]
    how: How,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    for path in &args.paths {
        let hash = file::hash(path, args.how)?;
        println!("{:016x} {} {}", hash.value, hash.size, path.display());
    }
    Ok(Verdict::Pass)
}
