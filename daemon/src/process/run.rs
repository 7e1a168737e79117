// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All stages in a row, and the exit codes.

use std::process::ExitCode;

use log::{error, info};

use super::checks::Checked;
use super::error::StartError;
use super::fork_companion::Pair;
use super::fork_daemon::Role;
use crate::config::Config;
use crate::log::{self as logging, ErrorChain};

/// How the daemon ended; `--help` lists the same codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// The VMM disconnected, or the daemon was asked to stop.
    Orderly = 0,
    /// The daemon could not start, or failed while serving.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Runs a daemon to its end. Returns in every process that is forked on the way, with that
/// process's exit status.
#[must_use]
pub fn run(config: Config) -> ExitStatus {
    logging::start(config.logging);
    start(config).unwrap_or_else(|error| {
        if matches!(error, StartError::AskedToStop) {
            info!("{error}");
            return ExitStatus::Orderly;
        }
        error!("{}", ErrorChain(&error));
        ExitStatus::Failed
    })
}

fn start(config: Config) -> Result<ExitStatus, StartError> {
    match Checked::new(config)?.fork_companion()? {
        Pair::Companion(companion) => Ok(companion.run()),
        Pair::WithCompanion(with_companion) => match with_companion.listen()?.fork_daemon()? {
            Role::Supervisor(supervisor) => Ok(supervisor.wait()),
            Role::Daemon(daemon) => daemon.confine()?.serve(),
        },
    }
}
