// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs programs of the host, such as apt-get and dpkg-deb, and reports exactly what failed.
//!
//! Invariant: no program outlives the thread that started it.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::vm::machine::CommandLine;

/// Why a host program did not do its work.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ToolError {
    /// It could not be started or waited for.
    #[error("running {command}")]
    Run {
        command: String,
        #[source]
        source: io::Error,
    },
    /// It ran and failed.
    #[error("{command} failed ({status}): {stderr}")]
    Failed {
        command: String,
        status: ExitStatus,
        stderr: String,
    },
}

/// How much of a failed program's standard error a message shows.
const STDERR_SHOWN: usize = 2000;

/// A command whose messages are in English (they are parsed) and which dies with this thread.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").stdin(Stdio::null());
    die_with_parent(&mut command);
    command
}

fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let bind = move || {
        set_parent_process_death_signal(Some(Signal::TERM))?;
        if getppid() == Some(parent) {
            Ok(())
        } else {
            Err(rustix::io::Errno::SRCH.into())
        }
    };
    // SAFETY: `bind` runs between fork and exec; it makes two system calls, neither allocates nor
    // takes a lock, and touches nothing but its own copy of a process id.
    unsafe { command.pre_exec(bind) };
}

/// Runs to the end; yields standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, ToolError> {
    let mut text = String::new();
    lines(command, |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    Ok(text)
}

/// Runs to the end, and gives each line of standard output to `each` as it comes.
pub(crate) fn lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<(), ToolError> {
    let shown = CommandLine::of(command).to_string();
    let failed = |source| ToolError::Run {
        command: shown.clone(),
        source,
    };
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    let mut stderr = child.stderr.take().expect("stderr was asked to be a pipe");
    let (read, errors) = thread::scope(|scope| {
        // Both pipes are drained at once: a program that fills an unread pipe would hang.
        let errors = scope.spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).map(|_| bytes)
        });
        let mut reader = BufReader::new(stdout);
        let mut line = Vec::new();
        let read = loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) => break Ok(()),
                Ok(_) => each(String::from_utf8_lossy(&line).trim_end_matches('\n')),
                Err(error) => break Err(error),
            }
        };
        (
            read,
            errors.join().expect("the reader of stderr does not panic"),
        )
    });
    let status = child.wait().map_err(failed)?;
    read.map_err(failed)?;
    let errors = errors.map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    Err(ToolError::Failed {
        command: shown,
        status,
        stderr: tail(&errors),
    })
}

fn tail(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(STDERR_SHOWN);
    String::from_utf8_lossy(&bytes[start..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_read_whole_while_stderr_floods() {
        let script = "head -c 300000 /dev/zero >&2; echo done";
        assert_eq!(
            output(command("sh").args(["-c", script])).unwrap(),
            "done\n"
        );
    }

    #[test]
    fn a_failure_names_command_status_and_stderr() {
        let error = output(command("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("sh -c"), "{text}");
        assert!(text.contains("exit status: 3"), "{text}");
        assert!(text.ends_with("no luck"), "{text}");
    }

    #[test]
    fn a_missing_program_is_an_error_not_a_panic() {
        assert!(matches!(
            output(&mut command("no-such-program")),
            Err(ToolError::Run { .. })
        ));
    }
}
