// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab top`.

use clap::Args;

use super::address::Address;

/// Shows what a daemon's DAX window does, live: its ranges, rates, files and queues
///
/// The daemon has to run with --metrics ADDR|PATH. Without a terminal it prints what is there and
/// ends, as with --once. Each file has a letter, so that it works without colours too (NO_COLOR).
#[derive(Debug, Args)]
#[command(after_help = "\
Keys: q, Esc or Ctrl-C ends it.
Exit status: 0 it was ended, or has printed; 2 a mistake on this command line; 3 no daemon answers \
there, or what answers is none.")]
pub struct TopArgs {
    /// Where the daemon shows its metrics: HOST:PORT, or the path of a socket with a / in it
    #[arg(value_name = "ADDR|PATH", default_value = "127.0.0.1:9926")]
    pub address: Address,

    /// Print what is there now, as plain text, and end
    #[arg(long)]
    pub once: bool,
}
