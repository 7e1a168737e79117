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
