// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Writes a pattern.

use std::fs::OpenOptions;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::access::{Access, CHUNK, How, Intent};
use crate::cli::Verdict;
use crate::pattern::{self, Seed};

/// Writes the pattern of a seed to part of a file, which is created and made longer as needed.
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
    /// In which way; a mapping is of a file made as long as it has to be first.
    #[arg(long, value_enum)]
    how: How,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let end = args
        .offset
        .checked_add(args.len)
        .context("the range ends past 2^64")?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&args.path)
        .with_context(|| format!("can't create {}", args.path.display()))?;
    if args.how == How::Mmap && file.metadata()?.len() < end {
        file.set_len(end).context("can't set the file's size")?;
    }
    drop(file);
    let access = Access::open(&args.path, args.how, Intent::Write)?;
    let mut buffer = vec![0; CHUNK];
    let mut at = args.offset;
    while at < end {
        let count = (end - at).min(CHUNK as u64) as usize;
        pattern::fill(Seed(args.seed), at, &mut buffer[..count]);
        access
            .write(at, &buffer[..count])
            .with_context(|| format!("can't write {count} bytes at {at:#x}"))?;
        at += count as u64;
    }
    println!("filled {} bytes", args.len);
    Ok(Verdict::Pass)
}
