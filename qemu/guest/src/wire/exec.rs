// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is run in the guest, and how it ended.
//!
//! Every command gets a session of its own. A [signal](super::ToGuest::Signal) goes to the process
//! group of its first process, as the one of a terminal would.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Signal;

/// A command to run in the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program, looked for in the guest's `PATH` unless it has a slash, and its arguments.
    pub argv: Vec<String>,
    /// Variables set on top of the agent's own environment (`PATH`, `HOME`, `TERM`).
    pub env: Vec<(String, String)>,
    /// The working directory; without one it is `/share` where there is one, else `/`.
    pub cwd: Option<String>,
    /// The command's root, in which the program and the working directory are looked for, if it is
    /// not the agent's.
    pub root: Option<String>,
    /// Where its standard input comes from.
    pub stdin: StdinKind,
    /// With a size, the command runs on a new pseudo-terminal of that size, which then is its
    /// standard input, output and error; `stdin` is [`StdinKind::Piped`] in effect.
    pub tty: Option<TtySize>,
}

/// Where a command's standard input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StdinKind {
    /// From the host, as [`ToGuest::Stdin`](super::ToGuest::Stdin).
    Piped,
    /// From `/dev/null`.
    Null,
}

/// The size of a terminal in character cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TtySize {
    pub rows: u16,
    pub columns: u16,
}

/// One of a command's two streams to the host. On a terminal all output is [`Output::Stdout`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Output {
    /// Standard output, or all that the terminal shows.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It exited with this code.
    Exited(u8),
    /// A signal ended it.
    Signaled(Signal),
}

impl ExitStatus {
    /// Whether it exited with code 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The code that a shell would give in `$?`: the exit code, or 128 + the signal's number.
    pub fn shell_code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => u8::try_from(signal.0)
                .unwrap_or(u8::MAX)
                .saturating_add(128),
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signaled(signal) => write!(f, "killed by {signal}"),
        }
    }
}
