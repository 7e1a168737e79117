// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `guest-tests`: runs the tests that need a real guest, several to a boot, and prints one line
//! with the duration for each.

mod cli;
mod lab;
mod pjdfstest;
mod report;
mod runner;
mod scenario;
mod scenarios;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let outcome = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(runner::run(&cli::Cli::parse())));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("guest-tests: {error:#}");
            ExitCode::from(3)
        }
    }
}
