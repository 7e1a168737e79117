// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The small numbers of the protocol, one type each, so that none can stand for another.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names one request; chosen by the host and repeated in the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub u32);

/// Names one command in the guest; chosen by the host, never used twice on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecId(pub u32);

impl fmt::Display for ExecId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec {}", self.0)
    }
}

/// A process id in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Pid(pub i32);

/// An error number of the guest's kernel (Linux's numbering, the same on every architecture used).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Errno(pub i32);

/// A signal by its Linux number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signal(pub i32);

impl Signal {
    /// The terminal has gone.
    pub const HUP: Self = Self(1);
    /// Ctrl-C.
    pub const INT: Self = Self(2);
    /// Ctrl-\.
    pub const QUIT: Self = Self(3);
    /// An end that can't be caught.
    pub const KILL: Self = Self(9);
    /// First user-defined signal.
    pub const USR1: Self = Self(10);
    /// A write to a pipe without a reader.
    pub const PIPE: Self = Self(13);
    /// A request to end.
    pub const TERM: Self = Self(15);
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::HUP => f.write_str("SIGHUP"),
            Self::INT => f.write_str("SIGINT"),
            Self::QUIT => f.write_str("SIGQUIT"),
            Self::KILL => f.write_str("SIGKILL"),
            Self::USR1 => f.write_str("SIGUSR1"),
            Self::PIPE => f.write_str("SIGPIPE"),
            Self::TERM => f.write_str("SIGTERM"),
            Self(number) => write!(f, "signal {number}"),
        }
    }
}
