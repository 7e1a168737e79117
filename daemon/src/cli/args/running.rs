// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Options of the daemon's own running: its log, its metrics, and the options of older daemons.

use clap::Args;
use log::LevelFilter;

use crate::cli::values;
use crate::config::MetricsAddress;

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

/// Options of the metrics.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// Serve metrics by HTTP: on a loopback address, or on a new socket at a PATH
    ///
    /// The address is `127.0.0.1:PORT` or `[::1]:PORT`; a path has a `/` in it. `/metrics` is for
    /// Prometheus, `/` is a page that shows the window live. Port 0 takes a free port, which the log
    /// names. Only the daemon's own user can connect to the socket; --socket-group does not apply to
    /// it. The socket is removed at the end. Without this option nothing is timed or collected.
    #[arg(long, value_name = "ADDR|PATH", value_parser = values::metrics_address)]
    pub metrics: Option<MetricsAddress>,

    /// Let --metrics take an address that other machines can reach
    ///
    /// There is no password: every client that can connect sees the names of mapped files.
    #[arg(long, requires = "metrics")]
    pub metrics_anywhere: bool,
}

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
