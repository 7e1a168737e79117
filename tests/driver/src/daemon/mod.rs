// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon under test: its processes and their resource use.

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
pub use running::{Daemon, take_logs};

/// Errors of a daemon.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum DaemonError {
    /// There is no such program.
    #[error("{program} is no daemon to start: build it first, or set {variable} to its path")]
    NoProgram {
        program: PathBuf,
        variable: &'static str,
    },
    /// A file or directory for it could not be made.
    #[error("could not prepare {path}")]
    Prepare {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The daemon could not be started.
    #[error("could not start {program}")]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The daemon ended before it made its socket.
    #[error("the daemon ended ({status}) before it listened; its log:\n{log}")]
    Ended { status: ExitStatus, log: String },
    /// An event did not happen in time.
    #[error("timed out after {patience:?} waiting for {what}; the daemon's log:\n{log}")]
    TimedOut {
        patience: Duration,
        what: &'static str,
        log: String,
    },
    /// The state of a process could not be read.
    #[error("could not read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The daemon could not be signalled.
    #[error("could not send a signal to the daemon")]
    Signal(#[source] io::Error),
}
