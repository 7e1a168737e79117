// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab random`.

use std::path::PathBuf;

use clap::Args;
use dax_cases::host::FileSystem;
use dax_measure::lab::Format;
use qemu_guest::artifacts::KernelSpec;

use crate::{qemu::QemuArg, share::AccelArg};

/// Steps of a run that is limited neither by steps nor by time.
pub(super) const STEPS: u64 = 1000;

/// Plays programs that are drawn at random, and makes those small that show something
///
/// A program's steps pin, access and remove pages of a few files. A model says which step has to
/// wait for which pin, and what each page holds. What comes otherwise is made small, played again
/// some times, and written to a file that --replay plays.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 nothing came otherwise, or only what tests/cases/docs/findings.md knows; 1 something \
else did; with --replay 1 is for what is known, too; 2 a mistake on this command line; 3 the lab \
itself failed; 128 + N signal N ended the run, and what was found by then is reported.")]
pub struct RandomArgs {
    /// The seed: the same one draws the same programs
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,

    /// How many steps are drawn in all [default: 1000, or no limit with --time]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: Option<u64>,

    /// After how many seconds no further program is begun
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub time: Option<u64>,

    /// Plays the program in this file, and draws none
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "steps", "time", "fs"])]
    pub replay: Option<PathBuf>,

    /// How often a program is played that is replayed, or that has been made small
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub times: u32,

    /// The kernel: as for `daxlab test`
    #[arg(long, value_name = "KERNEL", default_value = "debian:6.12")]
    pub kernel: KernelSpec,

    /// The modules of a kernel given by its path (its lib/modules/RELEASE folder)
    #[arg(long, value_name = "DIR")]
    pub modules: Option<PathBuf>,

    /// Which QEMU.
    #[command(flatten)]
    pub qemu: QemuArg,

    /// Only this file system: fuse, ext4 or xfs
    #[arg(long, value_name = "FS")]
    pub fs: Option<FileSystem>,

    /// Where the programs that show something and the reports go
    #[arg(long, value_name = "DIR", default_value = "daxlab-random")]
    pub out: PathBuf,

    /// What is printed at the end
    #[arg(long, value_enum, default_value = "pretty")]
    pub format: Format,

    /// How guests are run
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelArg,
}

impl RandomArgs {
    /// How many steps are drawn at most.
    pub(super) fn step_limit(&self) -> u64 {
        match (self.steps, self.time) {
            (Some(steps), _) => steps,
            (None, Some(_)) => u64::MAX,
            (None, None) => STEPS,
        }
    }
}
