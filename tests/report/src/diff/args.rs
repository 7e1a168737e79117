// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab diff`.

use std::path::PathBuf;

use clap::Args;

/// Says what changed between two runs
///
/// Cells are the same if case and kernel are. Where each run has one kernel, and these differ, the
/// two kernels are compared. Of a cell's repetitions the worst counts.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 if nothing got worse, 1 if a cell that was as expected is not any more or is gone, \
2 for a mistake on this command line, 3 if a file can't be read.")]
pub struct DiffArgs {
    /// results.json of the run before
    #[arg(value_name = "A.json")]
    pub before: PathBuf,

    /// results.json of the run after
    #[arg(value_name = "B.json")]
    pub after: PathBuf,
}
