// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command `virtiofs-daxd`; `--help` is its manual.

use std::process::ExitCode;

use virtiofs_daxd::cli::{self, Invocation};
use virtiofs_daxd::process::{self, ExitStatus};

fn main() -> ExitCode {
    let status = match cli::parse(std::env::args_os().collect()) {
        Ok(Invocation::Serve(config)) => process::run(*config),
        Ok(Invocation::PrintCapabilities) => cli::print_capabilities(&mut std::io::stdout())
            .map_or(ExitStatus::Failed, |()| ExitStatus::Orderly),
        Err(message) => cli::report(&message),
    };
    status.into()
}
