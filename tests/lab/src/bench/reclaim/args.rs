// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab bench reclaim`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use dax_bench::reclaim::{Length, SideKind, plan::Extent};
use dax_measure::Shard;
use glob::Pattern;
use qemu_guest::{
    artifacts::{KernelSpec, QemuSpec},
    vm::machine::ByteSize,
};

use crate::{
    bench::{args::seconds, reports::ReportArgs},
    qemu::spec,
    share::AccelArg,
};

/// Measures in guests what a window's reclaim costs, against other ways to the same files
///
/// Each side has a guest of its own, all alike; they take turns, A B C, C B A, and the others
/// are idle. Each access checks what it reads. Nothing fails for being slow: aims that are
/// missed are marked `!`.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 everything was measured, however fast; 2 a mistake on this command line, or no point \
fits; 3 something could not be measured, or its content was wrong; 128 + N signal N came.")]
pub struct ReclaimArgs {
    /// A first answer in three minutes: few points, four sides
    #[arg(long, conflicts_with = "full")]
    pub quick: bool,

    /// Everything with everything, which takes days: see --shard and --only
    #[arg(long)]
    pub full: bool,

    /// Only every N-th point, from the I-th on
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// Only the points whose names fit, such as 'read-*/2x'; several are joined
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<Pattern>,

    /// Who takes part: window, none, virtiofsd-auto, virtiofsd-always, virtiofsd-never, ext4, xfs,
    /// tmpfs [default: all; with --quick window, none, virtiofsd-auto, tmpfs]
    #[arg(long = "side", value_name = "SIDE,…", value_delimiter = ',')]
    pub sides: Vec<SideKind>,

    /// Kernels of the guests: debian:6.12, build:6.12+seed, a path …; each has all sides
    /// [default: debian:6.12]
    #[arg(long = "kernel", value_name = "KERNEL,…", value_delimiter = ',')]
    pub kernels: Vec<KernelSpec>,

    /// QEMUs of the guests: stock, series, series:stock, a path …; each has all sides [default:
    /// stock, or what DAXLAB_QEMU names]
    #[arg(long = "qemu", value_name = "QEMU,…", value_delimiter = ',', value_parser = spec())]
    pub qemus: Vec<QemuSpec>,

    /// Sizes of windows; working sets are multiples of the first [default: 32M,128M; with --quick
    /// 32M]
    #[arg(long = "window", value_name = "SIZE,…", value_delimiter = ',', value_parser = window)]
    pub windows: Vec<ByteSize>,

    /// Turns of each side at each point [default: 5; with --quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: Option<u32>,

    /// How long a turn with warm caches is; one with cold caches is a pass, and at most 8 times as
    /// long
    #[arg(long, value_name = "S", default_value = "0.3", value_parser = seconds)]
    pub seconds: Duration,

    /// How the guests' processors run
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelArg,

    /// What is reported.
    #[command(flatten)]
    pub report: ReportArgs,

    /// Where the reports go: results.json, report.html, table.txt
    #[arg(long, value_name = "DIR", default_value = "daxlab-reclaim")]
    pub out: PathBuf,
}

impl ReclaimArgs {
    /// How many points are measured.
    pub fn extent(&self) -> Extent {
        match (self.quick, self.full) {
            (true, _) => Extent::Quick,
            (_, true) => Extent::Full,
            _ => Extent::Usual,
        }
    }

    /// How each point is measured.
    pub fn length(&self) -> Length {
        Length {
            rounds: self.rounds.unwrap_or(if self.quick { 3 } else { 5 }),
            turn: self.seconds,
        }
    }

    /// The windows, at least one.
    pub fn windows(&self) -> Vec<ByteSize> {
        let usual = [ByteSize::mib(32), ByteSize::mib(128)];
        match (self.windows.is_empty(), self.quick) {
            (true, true) => usual[..1].to_vec(),
            (true, false) => usual.to_vec(),
            _ => self.windows.clone(),
        }
    }

    /// The sides.
    pub fn kinds(&self) -> Vec<SideKind> {
        let quick = ["window", "none", "virtiofsd-auto", "tmpfs"];
        match (self.sides.is_empty(), self.quick) {
            (true, true) => quick.iter().filter_map(|name| name.parse().ok()).collect(),
            (true, false) => SideKind::ALL.into(),
            _ => self.sides.clone(),
        }
    }

    /// Whether a point is selected.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|pattern| pattern.matches(name))
    }
}

/// Parses the size of a window with several ranges, and no more ranges than a VM supports.
pub fn window(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    let ranges = size.bytes() / guest_agent::workload::RANGE;
    match size.bytes().is_power_of_two() && (2..=256).contains(&ranges) {
        true => Ok(size),
        false => Err("use a power of two from 4M to 512M".to_owned()),
    }
}
