// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The result of a command that has ended.

use guest_agent::wire::ExitStatus;

use super::AgentError;

/// A command's exit status and output.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl CommandOutput {
    /// Returns itself if the command exited with code 0.
    ///
    /// # Errors
    ///
    /// [`AgentError::Failed`], with what the command wrote to its standard error.
    pub fn success(self) -> Result<Self, AgentError> {
        if self.status.success() {
            return Ok(self);
        }
        Err(AgentError::Failed {
            stderr: self.stderr_text(),
            command: self.command,
            status: self.status,
        })
    }

    /// Standard output as text, without the space at its end.
    pub fn stdout_text(&self) -> String {
        text(&self.stdout)
    }

    /// Standard error as text, without the space at its end.
    pub fn stderr_text(&self) -> String {
        text(&self.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}
