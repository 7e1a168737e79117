// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon under test: its processes and what they use.

mod account;
mod command;
mod locate;
mod process;
mod running;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

pub use account::{Usage, UsageOfOne};
pub use command::{DaemonCommand, Dialect};
pub use locate::{daxd, virtiofsd};
pub use process::Process;
pub use running::Daemon;

/// What can go wrong with a daemon.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// There is no such program.
    #[error("{program} is no daemon to start: build it first, or set {variable} to its path")]
    NoProgram {
        /// Where it was expected.
        program: PathBuf,
        /// The environment variable that names it.
        variable: &'static str,
    },
    /// A file or directory for it could not be made.
    #[error("could not prepare {path}")]
    Prepare {
        /// What could not be made.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It could not be started.
    #[error("could not start {program}")]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It ended instead of making its socket.
    #[error("the daemon ended ({status}) before it listened; its log:\n{log}")]
    Ended {
        /// How.
        status: ExitStatus,
        /// What it said.
        log: String,
    },
    /// Something did not happen in time.
    #[error("waited {patience:?} in vain for {what}; the daemon's log:\n{log}")]
    TimedOut {
        /// How long.
        patience: Duration,
        /// For what.
        what: &'static str,
        /// What it said.
        log: String,
    },
    /// Its state could not be read.
    #[error("could not read {path}")]
    Read {
        /// Which file of /proc.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It could not be told to stop.
    #[error("could not send a signal to the daemon")]
    Signal(#[source] io::Error),
}
