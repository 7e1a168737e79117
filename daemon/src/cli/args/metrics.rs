// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the daemon shows what it does.

use clap::Args;

use crate::cli::values;
use crate::config::MetricsAddress;

/// Options of the metrics.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Metrics")]
pub struct MetricsArgs {
    /// Serve metrics by HTTP: on a loopback address, or on a new socket at a PATH
    ///
    /// The address is `127.0.0.1:PORT` or `[::1]:PORT`; a path has a `/` in it. `/metrics` is for
    /// Prometheus, `/` a page that shows the window live. Port 0 takes a free one, which the log names. The socket is the daemon's own user's alone, whatever --socket-group
    /// says; it is removed at the end. Without this option nothing is timed or collected.
    #[arg(long, value_name = "ADDR|PATH", value_parser = values::metrics_address)]
    pub metrics: Option<MetricsAddress>,

    /// Let --metrics take an address that other machines can reach
    ///
    /// Whoever can connect sees the names of mapped files, and nobody is asked for a password.
    #[arg(long, requires = "metrics")]
    pub metrics_anywhere: bool,
}
