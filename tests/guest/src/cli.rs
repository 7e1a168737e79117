// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Runs the tests that need a real guest.
#[derive(Debug, Parser)]
#[command(
    name = "guest-tests",
    version,
    after_help = "Exit status: 0 all passed, 1 a test failed, 2 usage, 3 the tests could not run."
)]
pub struct Cli {
    /// Runs only the tests whose full name (group::test) contains one of these.
    pub filters: Vec<String>,
    /// Lists the tests instead of running them.
    #[arg(long)]
    pub list: bool,
    /// Where the logs of failed tests are kept.
    #[arg(long, default_value = "target/guest-tests", value_name = "DIR")]
    pub logs: PathBuf,
    /// How long the soak with fsx lasts in each cache mode, in seconds.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub soak: u64,
}

impl Cli {
    /// Whether the test of this full name was asked for.
    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|part| name.contains(part.as_str()))
    }
}
