// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The errors of a session.

use std::io;

use qemu_guest::vm::agent::{AgentError, Signal};

/// Why a guest command on this terminal did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// An interactive session needs a terminal at both ends.
    #[error("standard input and output must be a terminal; to run a command, put it after --")]
    NoTerminal,
    /// The terminal can't be set up.
    #[error("can't {doing} the terminal")]
    Terminal {
        /// The operation.
        doing: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// This process's standard input can't be read.
    #[error("can't set up the reading of the standard input")]
    Input(#[source] io::Error),
    /// The command's output can't be written.
    #[error("can't write to the {stream}")]
    Output {
        /// Standard output or standard error.
        stream: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// Signals can't be caught.
    #[error("can't catch signals")]
    Signals(#[source] io::Error),
    /// A signal asked this process to end.
    #[error("ended by {0}")]
    Interrupted(Signal),
    /// The connection to the guest failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
}
