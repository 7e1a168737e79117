// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `guest-probe`: see the library's documentation.

use std::process::ExitCode;

use clap::Parser as _;
use guest_probe::cli::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("guest-probe: {error:#}");
            ExitCode::from(2)
        }
    }
}
