// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's exit codes.

use std::process::ExitCode;

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
