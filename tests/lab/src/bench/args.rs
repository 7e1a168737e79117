// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab bench`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum};
use dax_bench::{samples::Length, system::Affinity};
use glob::Pattern;

use super::{
    instructions::InstructionsArgs, memory::MemoryArgs, reclaim::ReclaimArgs, reports::ReportArgs,
    tree::TreeArgs,
};

/// Measures the daemon from a driver in user space, in turn with a peer
///
/// No guest is booted: daxlab plays VMM and guest. Each side has its turns, A B A B, in rounds; the
/// ratios are of rounds that were measured one after the other, with their 95 % interval. Nothing
/// fails for being slow: aims that are missed are marked `!`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Exit status: 0 everything was measured, however fast; 2 a mistake on this command line, or no point \
fits; 3 something could not be measured; 128 + N signal N came."
)]
pub struct BenchArgs {
    /// What is measured in real guests, or otherwise
    #[command(subcommand)]
    pub in_guests: Option<InGuests>,

    /// What is measured
    #[arg(value_enum, default_value = "all")]
    pub what: What,

    /// The daemon [default: virtiofs-daxd beside daxlab]
    #[arg(long, value_name = "PATH")]
    pub daemon: Option<PathBuf>,

    /// What it is compared with: virtiofsd (1.14.0, built into the cache at the first use), the
    /// path of another daemon or of another build of ours, or none
    #[arg(long, value_name = "PEER", default_value = "virtiofsd")]
    pub peer: Peer,

    /// With how many request queues the daemon is measured; a peer that knows no --request-queues
    /// always has one
    #[arg(
        long,
        value_name = "N,…",
        value_delimiter = ',',
        default_value = "1,2",
        value_parser = clap::value_parser!(u8).range(1..=8)
    )]
    pub queues: Vec<u8>,

    /// Measure the daemon with --poll=MICROSECONDS, too: a side `NAME-poll` with one request queue
    #[arg(
        long,
        value_name = "MICROSECONDS",
        value_parser = clap::value_parser!(u16).range(1..=1000)
    )]
    pub poll: Option<u16>,

    /// Only the points whose names fit, such as 'read-4k*/32'; several are joined
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<Pattern>,

    /// Turns of each side at each point [default: 7; with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// How long a turn is [default: 0.3; with --quick 0.03]
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub seconds: Option<Duration>,

    /// A short run, to see that all can be measured: its numbers say little
    #[arg(long)]
    pub quick: bool,

    /// Where the files are that are shared
    #[arg(long, value_name = "DIR", default_value = "/dev/shm")]
    pub share: PathBuf,

    /// How the driver waits for replies
    #[arg(long, value_enum, default_value = "interrupt")]
    pub wait: Wait,

    /// On which processors a side with one queue runs; the others have all
    #[arg(long, value_enum, default_value = "auto")]
    pub pin: PinArg,

    /// What is reported.
    #[command(flatten)]
    pub report: ReportArgs,

    /// Where the reports go: results.json, report.html, table.txt
    #[arg(long, value_name = "DIR", default_value = "daxlab-bench")]
    pub out: PathBuf,
}

/// What has options of its own.
#[derive(Debug, Subcommand)]
pub enum InGuests {
    Reclaim(Box<ReclaimArgs>),
    Tree(Box<TreeArgs>),
    Memory(Box<MemoryArgs>),
    Instructions(Box<InstructionsArgs>),
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// FUSE requests
    Io,
    /// Setting up and removing mappings
    Map,
    /// Bytes through the window
    Window,
    /// All of these
    All,
}

/// How the driver waits for replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// It sleeps until it is interrupted, as a guest does
    Interrupt,
    /// It looks all the time, on a processor of its own
    Poll,
}

/// Where a side with one queue runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PinArg {
    /// Requests one at a time in both ways, as two points; mappings together; the rest apart
    Auto,
    /// Wherever the scheduler puts it
    No,
    /// Daemon and driver on a processor each
    Apart,
    /// Both on one processor
    Together,
}

impl From<PinArg> for Affinity {
    fn from(arg: PinArg) -> Self {
        match arg {
            PinArg::Auto => Self::Auto,
            PinArg::No => Self::No,
            PinArg::Apart => Self::Apart,
            PinArg::Together => Self::Together,
        }
    }
}

/// The program that the daemon is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// No program.
    None,
    /// virtiofsd from the cache.
    Virtiofsd,
    /// The program at this path.
    Program(PathBuf),
}

impl From<&str> for Peer {
    fn from(text: &str) -> Self {
        match text {
            "none" => Self::None,
            "virtiofsd" => Self::Virtiofsd,
            path => Self::Program(path.into()),
        }
    }
}

impl BenchArgs {
    /// How each point is measured.
    pub fn length(&self) -> Length {
        let (rounds, turn) = match self.quick {
            true => (3, Duration::from_millis(30)),
            false => (7, Duration::from_millis(300)),
        };
        Length::new(self.rounds.unwrap_or(rounds), self.seconds.unwrap_or(turn))
    }

    /// Whether a point is selected.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|pattern| pattern.matches(name))
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no length of a turn: give seconds from 0.001 to 60");
    let seconds: f64 = text.parse().map_err(|_| wrong())?;
    match seconds {
        0.001..=60.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(wrong()),
    }
}
