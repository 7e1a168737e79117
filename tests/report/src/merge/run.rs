// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From folders to a report and an exit status.

use std::io::Write;

use anyhow::{Result, ensure};

use super::{MergeArgs, Merged, merge};
use crate::{Format, Paint, files, json::read, model::Conclusion, write_all};

/// Merges, writes and prints.
///
/// # Errors
///
/// If a file can't be read or written, or the runs don't belong together.
pub fn run(args: &MergeArgs, out: &mut dyn Write) -> Result<Conclusion> {
    let mut runs = Vec::new();
    for dir in &args.dirs {
        let path = dir.join(files::RESULTS);
        runs.push((path.clone(), read(&path)?));
    }
    ensure!(!runs.is_empty(), "there is nothing to merge");
    let Merged { run, missing } = merge(runs)?;
    if let Some(out) = &args.out {
        write_all(&run, out)?;
    }
    Format::Pretty.print(&run, Paint::for_stdout(), out)?;
    if missing.is_empty() {
        return Ok(run.conclusion());
    }
    let missing: Vec<_> = missing.iter().map(u32::to_string).collect();
    let missing = missing.join(", ");
    eprintln!("daxlab merge: the report lacks the cells of missing shards: {missing}");
    Ok(Conclusion::LabFailed)
}
