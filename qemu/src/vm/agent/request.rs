// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A command to run in the guest.

use std::fmt;

use guest_agent::wire::{Command, StdinKind, TtySize};

/// A command for [`Agent::exec`](super::Agent::exec), built like a [`std::process::Command`]. Its
/// display is a line for a shell.
#[derive(Clone, Debug)]
pub struct ExecRequest {
    command: Command,
}

impl ExecRequest {
    /// A program and its arguments, with standard input from `/dev/null` and without a terminal.
    pub fn new<A: Into<String>>(argv: impl IntoIterator<Item = A>) -> Self {
        Self {
            command: Command {
                argv: argv.into_iter().map(Into::into).collect(),
                env: Vec::new(),
                cwd: None,
                root: None,
                stdin: StdinKind::Null,
                tty: None,
            },
        }
    }

    /// Sets a variable on top of the agent's `PATH`, `HOME` and `TERM`.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.command.env.push((name.into(), value.into()));
        self
    }

    /// Sets the working directory. The default is `/share` if it exists.
    #[must_use]
    pub fn cwd(mut self, path: impl Into<String>) -> Self {
        self.command.cwd = Some(path.into());
        self
    }

    /// Runs the command below this folder, as chroot(8) does.
    #[must_use]
    pub fn root(mut self, path: impl Into<String>) -> Self {
        self.command.root = Some(path.into());
        self
    }

    /// Gives the command a standard input that we write.
    #[must_use]
    pub fn piped_stdin(mut self) -> Self {
        self.command.stdin = StdinKind::Piped;
        self
    }

    /// Runs the command on a new terminal; all its output is then on standard output.
    #[must_use]
    pub fn tty(mut self, size: TtySize) -> Self {
        self.command.tty = Some(size);
        self
    }

    pub(super) fn into_command(self) -> Command {
        self.command
    }

    pub(super) fn stdin_is_ours(&self) -> bool {
        self.command.tty.is_some() || self.command.stdin == StdinKind::Piped
    }
}

impl fmt::Display for ExecRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, word) in self.command.argv.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            write_word(f, word)?;
        }
        Ok(())
    }
}

fn write_word(f: &mut fmt::Formatter<'_>, word: &str) -> fmt::Result {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        f.write_str(word)
    } else {
        write!(f, "'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::ExecRequest;

    #[test]
    fn displays_as_a_shell_line() {
        let line = |argv: &[&str]| ExecRequest::new(argv.iter().copied()).to_string();
        assert_eq!(line(&["ls", "-l", "/share/a_b"]), "ls -l /share/a_b");
        assert_eq!(line(&["sh", "-c", "echo $x; y"]), "sh -c 'echo $x; y'");
        assert_eq!(line(&["echo", "", "it's"]), r"echo '' 'it'\''s'");
    }
}
