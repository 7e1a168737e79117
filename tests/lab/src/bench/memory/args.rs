// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab bench memory`.

use std::path::PathBuf;

use clap::Args;
use dax_bench::reclaim::Side;
use guest_agent::workload::Access;
use qemu_guest::{artifacts::KernelSpec, vm::machine::ByteSize, vm::process::Cache};

use crate::{bench::reports::ReportArgs, qemu::QemuArg, share::AccelArg};

/// Measures how much of the host's memory guests take that read one and the same file
///
/// With a window, without one, with virtiofsd, and from one image on virtio-pmem. Guests are started
/// one after the other, and each reads all of the file; what has grown meanwhile is what reading
/// took. The host's page cache has none of the file before the first guest of each side. The run
/// fails if a guest that caches the file seems to use no memory for it, or a guest with DAX the
/// file's size.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 everything was measured; 2 a mistake on this command line; 3 something could not be \
measured, or can't be right; 128 + N signal N came.")]
pub struct MemoryArgs {
    /// A short run: one guest and two, half the file, read(2) only
    #[arg(long)]
    pub quick: bool,

    /// At how many guests the memory is looked at [default: 1,2,4,8; with --quick 1,2]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=64))]
    pub guests: Vec<u8>,

    /// Size of the file: a power of two; the window is twice as large [default: 256M; with --quick
    /// 128M]
    #[arg(long, value_name = "SIZE", value_parser = file)]
    pub file: Option<ByteSize>,

    /// The guests' kernel [default: debian:6.12]
    #[arg(long, value_name = "KERNEL")]
    pub kernel: Option<KernelSpec>,

    /// Which QEMU.
    #[command(flatten)]
    pub qemu: QemuArg,

    /// How the guests' processors run
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelArg,

    /// Where the file is: on a disk, since only there a page cache is apart from the file
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub place: PathBuf,

    /// What is reported.
    #[command(flatten)]
    pub report: ReportArgs,

    /// Where the reports go: results.json, report.html, table.txt, memory.svg
    #[arg(long, value_name = "DIR", default_value = "daxlab-memory")]
    pub out: PathBuf,
}

impl MemoryArgs {
    /// At how many guests the memory is looked at, in rising order.
    pub fn counts(&self) -> Vec<usize> {
        let usual: &[u8] = if self.quick { &[1, 2] } else { &[1, 2, 4, 8] };
        let counts = match self.guests.is_empty() {
            true => usual,
            false => &self.guests,
        };
        let mut counts: Vec<usize> = counts.iter().map(|count| usize::from(*count)).collect();
        counts.sort_unstable();
        counts.dedup();
        counts
    }

    /// Size of the file.
    pub fn size(&self) -> ByteSize {
        let usual = ByteSize::mib(if self.quick { 128 } else { 256 });
        self.file.unwrap_or(usual)
    }

    /// Memory of each guest: it has room for the file in its page cache.
    pub fn memory(&self) -> ByteSize {
        ByteSize::new(self.size().bytes() + (256 << 20))
    }

    /// The sides. The window holds the file and the fifth that Linux keeps free.
    pub fn sides(&self) -> Vec<Side> {
        vec![
            Side::Window(ByteSize::new(2 * self.size().bytes())),
            Side::NoWindow,
            Side::Virtiofsd(Cache::Auto),
            Side::Image,
        ]
    }

    /// The ways in which guests read.
    pub fn accesses(&self) -> Vec<Access> {
        match self.quick {
            true => vec![Access::Read],
            false => vec![Access::Read, Access::Load],
        }
    }
}

fn file(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|error| format!("{error}"))?;
    match size.bytes().is_power_of_two() && (128..=4096).contains(&(size.bytes() >> 20)) {
        true => Ok(size),
        // Memory that a guest takes for other purposes must not hide the memory that it takes for
        // the file.
        false => Err("use a power of two from 128M to 4G".to_owned()),
    }
}
