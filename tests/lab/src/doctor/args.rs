// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab doctor`.

use std::path::PathBuf;

use clap::Args;

/// Says what this host can do and how to mend what it can't
///
/// Each line begins with `ok`, `warn` (share runs, but with less) or `FAIL` (share can't run).
/// Nothing is fetched and nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 if `daxlab share` can run, 1 if not.")]
pub struct DoctorArgs {
    /// Look at this qemu-system-x86_64 instead of the one that share would take
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
}
