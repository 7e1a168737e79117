// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the log goes and how much of it.

use clap::Args;
use log::LevelFilter;

use crate::cli::values;

/// Options of the log.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LoggingArgs {
    /// Least severe message that is logged
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "info",
        ignore_case = true,
        value_parser = values::log_level()
    )]
    pub log_level: LevelFilter,

    /// Log to syslog instead of stderr
    #[arg(long)]
    pub syslog: bool,
}
