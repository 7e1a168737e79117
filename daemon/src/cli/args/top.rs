// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command itself, made of the groups.

use clap::Parser;

use super::endpoint::EndpointArgs;
use super::migration::MigrationArgs;
use super::running::{LegacyArgs, LoggingArgs, MetricsArgs};
use super::sandbox::SandboxArgs;
use super::share::ShareArgs;
use super::window::WindowArgs;

/// What the help ends with: everything about running the daemon that is no option.
const AFTER_HELP: &str = "\
Sizes are bytes, or a number with K, M or G (also KiB, MiB, GiB; all are powers of 1024).

The daemon serves one VMM. It ends when that VMM disconnects, or on SIGTERM, SIGINT or SIGHUP to
the process that SOCKET.pid names, and removes its socket and pid file.

Exit codes:
  0  the VMM disconnected, or the daemon was asked to stop
  1  it could not start, or failed while serving; the log says why
  2  the command line is wrong

RUST_LOG, where set, replaces --log-level (see the crate env_logger for its form).";

/// The version. A package's build adds the commit that it is made from (daemon/dist/build.sh).
const VERSION: &str = match option_env!("VIRTIOFS_DAX_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Share a host directory with a QEMU guest over virtio-fs, with a DAX window.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "virtiofs-daxd",
    version = VERSION,
    args_override_self = true,
    arg_required_else_help = true,
    override_usage = "virtiofs-daxd --shared-dir <DIR> --socket-path <PATH> [OPTIONS]",
    after_help = AFTER_HELP
)]
pub struct Args {
    /// What is shared and how the guest sees it.
    #[command(flatten)]
    pub share: ShareArgs,
    /// The DAX window.
    #[command(flatten)]
    pub window: WindowArgs,
    /// Where the VMM connects.
    #[command(flatten)]
    pub endpoint: EndpointArgs,
    /// What the daemon may not do.
    #[command(flatten)]
    pub sandbox: SandboxArgs,
    /// Live migration.
    #[command(flatten)]
    pub migration: MigrationArgs,
    /// Metrics.
    #[command(flatten)]
    pub metrics: MetricsArgs,
    /// Logging.
    #[command(flatten)]
    pub logging: LoggingArgs,
    /// Options of older daemons.
    #[command(flatten)]
    pub legacy: LegacyArgs,

    /// Print the JSON that vhost-user.json asks of a back end, and exit
    #[arg(long)]
    pub print_capabilities: bool,
}
