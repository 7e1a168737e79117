// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The command line: one command per file in [`crate::commands`].

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::commands::{copy, dax, fill, hash, hold, modify, physical, sweep, upgrade, verify};

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be: exit status 0.
    Pass,
    /// Not as it should be: exit status 1. A command that could not do its work exits with 2.
    Fail,
}

impl Verdict {
    /// [`Verdict::Pass`] where `good` holds.
    pub fn from_bool(good: bool) -> Self {
        if good { Self::Pass } else { Self::Fail }
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::SUCCESS,
            Verdict::Fail => Self::FAILURE,
        }
    }
}

/// Small programs that tests run inside a guest.
#[derive(Debug, Parser)]
#[command(name = "guest-probe", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Copy(copy::Args),
    Dax(dax::Args),
    Fill(fill::Args),
    Hash(hash::Args),
    Hold(hold::Args),
    Modify(modify::Args),
    Physical(physical::Args),
    Sweep(sweep::Args),
    Upgrade(upgrade::Args),
    Verify(verify::Args),
}

impl Cli {
    /// Runs the command that was named.
    pub fn run(&self) -> Result<Verdict> {
        match &self.command {
            Command::Copy(args) => copy::run(args),
            Command::Dax(args) => dax::run(args),
            Command::Fill(args) => fill::run(args),
            Command::Hash(args) => hash::run(args),
            Command::Hold(args) => hold::run(args),
            Command::Modify(args) => modify::run(args),
            Command::Physical(args) => physical::run(args),
            Command::Sweep(args) => sweep::run(args),
            Command::Upgrade(args) => upgrade::run(args),
            Command::Verify(args) => verify::run(args),
        }
    }
}
