// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab doctor`.

use clap::Args;

use crate::qemu::QemuArg;

/// Says what this host can do and how to mend what it can't
///
/// Each line begins with `ok`, `warn` (share runs, but with less) or `FAIL` (share can't run).
/// The command fetches and changes nothing; `tests/daxlab.sh` in front of it installs what building needs.
#[derive(Debug, Args)]
#[command(after_help = "Exit status: 0 if `daxlab share` can run, 1 if not.")]
pub struct DoctorArgs {
    /// Which QEMU.
    #[command(flatten)]
    pub qemu: QemuArg,
}
