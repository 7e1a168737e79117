// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab test`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use dax_cases::cases::HeldTo;
use dax_measure::{Shard, lab::Format};
use qemu_guest::{accel::AccelChoice, artifacts::KernelSpec};

use crate::{catalogue::Selection, qemu::QemuArg, share::AccelArg};

/// Runs pins against removals on guests, and says whether each removal waited as it must
///
/// Without a selection the core matrix is run: O_DIRECT, AIO and vmsplice against truncate,
/// punch and reclaim.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 everything came out as expected; 1 something did not; 2 a mistake on this command \
line, or no case fits; 3 the lab itself failed somewhere; 128 + N signal N ended the run: the cases \
that were not run are reported as skipped. A guest that dies is a result.")]
pub struct TestArgs {
    /// The kernels: debian:6.1, debian:6.12, debian:latest, build:6.12, build:7.3, build:6.12+seed,
    /// the path of a bzImage, or a configured source tree [default: debian:6.12]
    #[arg(long = "kernel", value_name = "KERNEL")]
    pub kernels: Vec<KernelSpec>,

    /// The modules of a kernel given by its path (its lib/modules/RELEASE folder)
    #[arg(long, value_name = "DIR")]
    pub modules: Option<PathBuf>,

    /// Which QEMU.
    #[command(flatten)]
    pub qemu: QemuArg,

    /// Which cases.
    #[command(flatten)]
    pub selection: Selection,

    /// All cases
    #[arg(long)]
    pub all: bool,

    /// How often each case is run; kernels take turns
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// Only the I-th of N parts of the cases, counted from 0
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// How many cases are run at a time, each on guests of its own: one for each kernel
    ///
    /// A guest has two CPUs and 1 GiB. The more of them there are, the less do latencies say.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,

    /// Where the reports go: results.json, report.html, junit.xml and results.ktap
    #[arg(long, value_name = "DIR", default_value = "daxlab-results")]
    pub out: PathBuf,

    /// What is printed at the end
    #[arg(long, value_enum, default_value = "pretty")]
    pub format: Format,

    /// Keep the logs of every guest (console, QEMU, daemon) in DIR/logs, not only of those that
    /// were lost
    #[arg(long)]
    pub keep: bool,

    /// Start QEMU without the library that keeps a mapped page which the host can't supply from
    /// ending the VM: such a case comes out as DIED, and says nothing about the guest's kernel
    #[arg(long)]
    pub no_guard: bool,

    /// What the kernels are held to
    #[arg(long, value_enum, default_value = "known")]
    pub held_to: HeldToArg,

    /// How guests are run
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelArg,
}

/// What kernels are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HeldToArg {
    /// What is known of each kernel, its bugs included; a bug that is gone is reported as fixed
    Known,
    /// What is known of a stock kernel, even if this one is the lab's own
    Stock,
    /// What the system calls promise: a known bug fails, too
    Contract,
}

impl From<HeldToArg> for HeldTo {
    fn from(arg: HeldToArg) -> Self {
        match arg {
            HeldToArg::Known => Self::Known,
            HeldToArg::Stock => Self::Stock,
            HeldToArg::Contract => Self::Contract,
        }
    }
}

impl TestArgs {
    /// The guests' accelerator.
    pub fn accel(&self) -> AccelChoice {
        self.accel.into()
    }
}
