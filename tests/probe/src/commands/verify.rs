// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Compares a file with a pattern.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::access::{Access, CHUNK, How, Intent};
use crate::cli::Verdict;
use crate::pattern::{self, Seed};

/// Pass where part of a file holds the pattern of a seed; prints the first mismatch otherwise.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file.
    path: PathBuf,
    /// How many bytes.
    #[arg(long)]
    len: u64,
    /// Where in the file, in bytes.
    #[arg(long, default_value_t = 0)]
    offset: u64,
    /// Which pattern.
    #[arg(long)]
    seed: u64,
    /// In which way.
    #[arg(long, value_enum)]
    how: How,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let end = args
        .offset
        .checked_add(args.len)
        .context("the range ends past 2^64")?;
    let access = Access::open(&args.path, args.how, Intent::Read)?;
    let mut buffer = vec![0; CHUNK];
    let mut at = args.offset;
    while at < end {
        let count = (end - at).min(CHUNK as u64) as usize;
        access
            .read(at, &mut buffer[..count])
            .with_context(|| format!("can't read {count} bytes at {at:#x}"))?;
        if let Err(mismatch) = pattern::check(Seed(args.seed), at, &buffer[..count]) {
            println!("{mismatch}");
            return Ok(Verdict::Fail);
        }
        at += count as u64;
    }
    println!("verified {} bytes", args.len);
    Ok(Verdict::Pass)
}
