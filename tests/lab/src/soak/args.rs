// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab soak`.

use std::path::PathBuf;

use clap::Args;

/// Lets all faults happen to the daemon at random, by a seed, and checks it after each
///
/// No guest is booted: daxlab plays VMM and guest. The soak is made of episodes, each with a daemon
/// of its own; a seed and a number are one episode, which can be played again by itself. What the
/// seed does not settle is how far the daemon's threads have got when something happens.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 nothing was found; 1 an episode failed; 2 a mistake on this command line; 3 the soak \
could not begin; 128 + N signal N came, after the episode that it came in.")]
pub struct SoakArgs {
    /// How long: no episode is begun after that
    #[arg(long, value_name = "N", default_value = "600")]
    pub seconds: u64,

    /// Where everything random comes from [default: another one each time, which is printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// The first episode, to play a failed one again
    #[arg(long, value_name = "N", default_value = "0")]
    pub episode: u64,

    /// The daemon [default: virtiofs-daxd beside daxlab]
    #[arg(long, value_name = "PATH")]
    pub daemon: Option<PathBuf>,
}
