// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Parser;
use qemu_guest::artifacts::KernelSpec;

use crate::scenarios;

/// Runs the tests that need a real guest.
#[derive(Debug, Parser)]
#[command(
    name = "guest-tests",
    version,
    after_help = "Exit status: 0 all passed, 1 a test failed, 2 usage, 3 the tests could not run."
)]
pub struct Cli {
    /// Runs only the tests whose full name (group::test) contains one of these; without any, all but
    /// some that take minutes
    pub filters: Vec<String>,
    /// Runs only what is to be played on a QEMU whose window is one memory region, beside another one;
    /// DAXLAB_QEMU has to name one
    #[arg(long)]
    pub one_region: bool,
    /// Lists the tests instead of running them
    #[arg(long)]
    pub list: bool,
    /// The kernel of the guests, as `daxlab test` names it; tests of Debian's kernels keep theirs
    #[arg(long, default_value = "debian:6.12", value_name = "KERNEL")]
    pub kernel: KernelSpec,
    /// How many tests with guests of their own are under way at a time
    #[arg(long, default_value = "2", value_name = "N")]
    pub jobs: NonZeroUsize,
    /// Where the logs of failed tests are kept
    #[arg(long, default_value = "target/guest-tests", value_name = "DIR")]
    pub logs: PathBuf,
    /// How long the soak with fsx lasts in each cache mode, in seconds
    #[arg(long, default_value_t = 10, value_name = "SECONDS")]
    pub soak: u64,
}

impl Cli {
    /// Whether the test of this full name was asked for.
    pub fn wants(&self, name: &str) -> bool {
        let is_named = match self.filters[..] {
            [] => !scenarios::is_by_name(name),
            _ => self.filters.iter().any(|part| name.contains(part.as_str())),
        };
        is_named && (!self.one_region || scenarios::depends_on_one_region(name))
    }
}
