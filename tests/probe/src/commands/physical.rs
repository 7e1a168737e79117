// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Stores to memory by its physical address, past the file system: what a hostile kernel can do.

use std::fs::File;

use anyhow::{Context as _, Result};
use memmap2::{MmapOptions, MmapRaw};

use super::sweep::RANGE;
use crate::cli::Verdict;

const MEMORY: &str = "/dev/mem";

/// Stores a word to the beginning of each 2 MiB range, and prints `stored=N kept=M`: to how many, and
/// how many of them have it afterwards. Linux must have been started with `iomem=relaxed`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The physical address, a multiple of the page size.
    from: u64,
    /// How many bytes follow.
    len: u64,
    /// What is stored.
    #[arg(long)]
    word: u64,
}

pub(crate) fn run(args: &Args) -> Result<Verdict> {
    let memory = File::options().read(true).write(true).open(MEMORY);
    let memory = memory.with_context(|| format!("can't open {MEMORY}"))?;
    let (mut stored, mut kept) = (0, 0);
    for at in (args.from..args.from + args.len).step_by(RANGE as usize) {
        let mapping = map(&memory, at).with_context(|| format!("can't map {at:#x} of {MEMORY}"))?;
        let place = mapping.as_mut_ptr().cast::<u64>();
        // SAFETY: the mapping has a word at its beginning. No Rust object is in a device's window.
        let found = unsafe {
            place.write_volatile(args.word);
            place.read_volatile()
        };
        stored += 1;
        kept += u64::from(found == args.word);
    }
    println!("stored={stored} kept={kept}");
    Ok(Verdict::Pass)
}

fn map(memory: &File, at: u64) -> Result<MmapRaw> {
    let word = size_of::<u64>();
    Ok(MmapOptions::new().offset(at).len(word).map_raw(memory)?)
}
