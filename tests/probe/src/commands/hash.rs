// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Hashes whole files, so that both sides can compare what neither knows beforehand.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xxhash_rust::xxh3::Xxh3;

use crate::access::{Access, CHUNK, How, Intent, open};
use crate::cli::Verdict;

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
        let (hash, size) = hash(path, args.how)?;
        println!("{hash:016x} {size} {}", path.display());
    }
    Ok(Verdict::Pass)
}

/// The hash and the size in bytes of `path`.
pub fn hash(path: &Path, how: How) -> Result<(u64, u64)> {
    let size = open(path, Intent::Read)?.metadata()?.len();
    let access = Access::open(path, how, Intent::Read)?;
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < size {
        let count = (size - at).min(CHUNK as u64) as usize;
        access
            .read(at, &mut buffer[..count])
            .with_context(|| format!("can't read {} at {at:#x}", path.display()))?;
        hasher.update(&buffer[..count]);
        at += count as u64;
    }
    Ok((hasher.digest(), size))
}
