// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What can end a session other than its command.

use std::io;

use qemu_guest::vm::agent::{AgentError, Signal};

/// Why a guest command on this terminal did not come to its own end.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// An interactive session needs a terminal at both ends.
    #[error("standard input and output must be a terminal; to run a command, put it after --")]
    NoTerminal,
    /// The terminal can't be set up.
    #[error("can't {doing} the terminal")]
    Terminal {
        /// What was tried.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The reader of this process's standard input can't be set up.
    #[error("can't set up the reading of the standard input")]
    Input(#[source] io::Error),
    /// What the command writes can't be written here.
    #[error("can't write to the {stream}")]
    Output {
        /// Standard output or error.
        stream: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Signals can't be caught.
    #[error("can't catch signals")]
    Signals(#[source] io::Error),
    /// This process was asked to end.
    #[error("ended by {0}")]
    Interrupted(Signal),
    /// The guest failed us.
    #[error(transparent)]
    Agent(#[from] AgentError),
}
