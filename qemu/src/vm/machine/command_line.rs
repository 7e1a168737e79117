// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A program with its arguments, which can be started and displayed.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

/// A command line. Its [`Display`](fmt::Display) form can be pasted into a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    program: OsString,
    args: Vec<OsString>,
}

impl CommandLine {
    /// A command line of a program without arguments.
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
        }
    }

    /// The program and arguments of `command`. Its environment and working directory are not kept.
    pub fn of(command: &Command) -> Self {
        Self::new(command.get_program()).args(command.get_args())
    }

    /// Appends one argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Appends arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The program.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// The command, ready to be started.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        command
    }
}

/// Quotes one word for a POSIX shell. Bytes that are no UTF-8 become replacement characters, as
/// they would on the terminal.
fn quoted(word: &OsStr) -> String {
    let quoted = shlex::bytes::try_quote(word.as_bytes()).unwrap_or(Cow::Borrowed(b"<NUL>"));
    String::from_utf8_lossy(&quoted).into_owned()
}

/// One line, each word quoted where a shell needs it.
impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_text_back_as_the_same_words() {
        let words = [
            "plain",
            "two words",
            "it's",
            "a=$HOME,b=\"x\"",
            "",
            "new\nline",
            "*?",
        ];
        let line = CommandLine::new("printf").arg("%s\\0").args(words);
        let output = Command::new("sh").arg("-c").arg(line.to_string()).output();
        let mut expected = words.join("\0").into_bytes();
        expected.push(0);
        assert_eq!(output.unwrap().stdout, expected);
    }
}
