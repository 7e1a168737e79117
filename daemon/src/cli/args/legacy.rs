// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Options that exist for command lines written for older daemons.

use clap::Args;

/// Deprecated options.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Deprecated")]
pub struct LegacyArgs {
    /// Comma-separated options of the daemon that was part of QEMU, such as `source=DIR,xattr`
    ///
    /// They count as if their long forms stood last on the command line.
    #[arg(short = 'o', value_name = "OPTIONS")]
    pub compat_options: Vec<String>,

    /// The same as --log-level=debug
    #[arg(short = 'd')]
    pub compat_debug: bool,

    /// Has no effect: the daemon always stays in the foreground
    #[arg(short = 'f')]
    pub compat_foreground: bool,
}
