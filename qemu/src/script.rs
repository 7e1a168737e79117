// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Programs that tests and benchmarks write before they run them.
//!
//! Linux refuses to run a file that a process has open for writing (ETXTBSY). A process that starts
//! others from several threads can't write a program by itself: a child that another thread has just
//! forked holds the descriptor until its own execve. So a process of its own writes it here.

use std::io::{Error, Result, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Writes a shell script that every user may run; `text` follows its first line.
///
/// # Errors
/// install(1) can't be started, or fails.
pub fn write(path: &Path, text: &str) -> Result<()> {
    let mut install = install();
    let install = install.arg("/dev/stdin").arg(path).stdin(Stdio::piped());
    let mut install = install.spawn()?;
    let mut stdin = install.stdin.take().expect("it is piped");
    let written = stdin.write_all(format!("#!/bin/sh\n{text}\n").as_bytes());
    drop(stdin);
    done(install.wait_with_output()?)?;
    written
}

/// Copies a program; every user may run the copy.
///
/// # Errors
/// As [`write()`].
pub fn copy(program: &Path, to: &Path) -> Result<()> {
    done(install().arg(program).arg(to).output()?)
}

fn install() -> Command {
    let mut install = Command::new("install");
    install.args(["--mode=755", "--"]).stderr(Stdio::piped());
    install
}

fn done(output: Output) -> Result<()> {
    let failed = || {
        Error::other(
            String::from_utf8_lossy(&output.stderr)
                .trim_end()
                .to_owned(),
        )
    };
    output.status.success().then_some(()).ok_or_else(failed)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Each thread forks while the others have their scripts open for writing.
    #[test]
    fn threads_run_what_they_have_just_written() {
        let folder = tempfile::tempdir().unwrap();
        let run = |thread: usize| {
            for round in 0..50 {
                let path = folder.path().join(format!("{thread}-{round}"));
                write(&path, "exit 7").unwrap();
                let status = Command::new(&path).status().unwrap();
                assert_eq!(status.code(), Some(7));
            }
        };
        thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || run(thread));
            }
        });
    }

    #[test]
    fn a_folder_that_is_missing_is_an_error() {
        let error = write(Path::new("/nonexistent/script"), "").unwrap_err();
        assert!(error.to_string().contains("/nonexistent/script"), "{error}");
    }
}
