// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab bench tree`.

use std::path::PathBuf;

use clap::Args;
use dax_bench::tree::{Policy, Shape};
use qemu_guest::{
    artifacts::{KernelSpec, QemuSpec},
    vm::machine::ByteSize,
};

use crate::{
    bench::{reclaim::window, reports::ReportArgs},
    qemu::spec,
    share::AccelArg,
};

/// Measures git status, grep -r and a compile on a source tree in guests, by which files use the
/// window
///
/// The tree is always the same: 20,000 generated files, committed to git. Each side
/// has a guest of its own; they take turns, and the others are idle. Nothing fails for
/// being slow.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 everything was measured, however fast; 2 a mistake on this command line; 3 something \
could not be measured, or came to something else than it must; 128 + N signal N came.")]
pub struct TreeArgs {
    /// A short run: a tenth of the files, three sides, one round
    #[arg(long)]
    pub quick: bool,

    /// Who takes part: default, never, virtiofsd, ext4, xfs and tmpfs (a copy in the guest), or a
    /// size for --dax-min-size, such as 64K
    /// [default: virtiofsd,never,default,1M,128K,64K,16K,0,ext4,xfs,tmpfs]
    #[arg(long = "side", value_name = "SIDE,…", value_delimiter = ',')]
    pub sides: Vec<Policy>,

    /// How many files the tree has [default: 20000; with --quick 2000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(16..=99_999))]
    pub files: Option<u32>,

    /// The guests' kernel [default: debian:6.12]
    #[arg(long, value_name = "KERNEL")]
    pub kernel: Option<KernelSpec>,

    /// QEMUs of the guests: stock, series, series:stock, a path …; sides with a window have a guest
    /// on each, the others on the first [default: stock, or what DAXLAB_QEMU names]
    #[arg(long = "qemu", value_name = "QEMU,…", value_delimiter = ',', value_parser = spec())]
    pub qemus: Vec<QemuSpec>,

    /// Size of the window
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = window)]
    pub window: ByteSize,

    /// Turns of each side [default: 3; with --quick 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// How the guests' processors run
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelArg,

    /// What is reported.
    #[command(flatten)]
    pub report: ReportArgs,

    /// Where the reports go: results.json, report.html, table.txt
    #[arg(long, value_name = "DIR", default_value = "daxlab-tree")]
    pub out: PathBuf,
}

impl TreeArgs {
    /// The tree.
    pub fn shape(&self) -> Shape {
        let usual = if self.quick { 2_000 } else { 20_000 };
        Shape {
            files: self.files.unwrap_or(usual) as usize,
            seed: 1,
        }
    }

    /// Turns of each side.
    pub fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 3 })
    }

    /// The sides.
    pub fn policies(&self) -> Vec<Policy> {
        match (self.sides.is_empty(), self.quick) {
            (true, true) => Policy::QUICK.into(),
            (true, false) => Policy::ALL.into(),
            _ => self.sides.clone(),
        }
    }
}
