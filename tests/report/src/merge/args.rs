// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab merge`.

use std::path::PathBuf;

use clap::Args;

/// Makes one report of the shards of a run
///
/// Each DIR is the --out of one `daxlab test --shard I/N`. Runs without --shard can be merged too
/// if no cell is in two of them, for example those of different kernels.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: that of `daxlab test` for all cells together (0 as expected, 1 unexpected result); 2 \
for a mistake on this command line; 3 if the lab failed in a cell, a file can't be read, runs \
don't belong together, or a shard is missing (the report of the others is made all the same).")]
pub struct MergeArgs {
    /// Folders that hold a results.json
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,

    /// Write results.json, report.html, junit.xml and results.ktap there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}
