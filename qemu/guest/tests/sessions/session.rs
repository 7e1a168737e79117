// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The program under test: one command on this process's standard streams.

use std::process::ExitCode;

use daxlab::terminal::{self, TerminalError};
use qemu_guest::vm::agent::{ExecRequest, ExitStatus};
use tokio::signal::unix::{SignalKind, signal};

use crate::local::agent;

/// What it returns when the command did not come to its own end.
pub const FAILED: u8 = 125;

/// Runs a command as `kind` says: `shell` or `command`.
#[tokio::main(flavor = "current_thread")]
pub async fn run(kind: &str, argv: &[&str]) -> ExitCode {
    let mut panic_now = signal(SignalKind::user_defined1()).expect("a signal can be caught");
    tokio::select! {
        outcome = session(kind, argv) => match outcome {
            Ok(status) => status.shell_code().into(),
            Err(error) => {
                eprintln!("session: {error}");
                FAILED.into()
            }
        },
        _ = panic_now.recv() => panic!("as the test wants it"),
    }
}

async fn session(kind: &str, argv: &[&str]) -> Result<ExitStatus, TerminalError> {
    let (agent, _process) = agent().await;
    let request = ExecRequest::new(argv.iter().copied());
    match kind {
        "shell" => terminal::shell(&agent, request).await,
        _ => terminal::command(&agent, request).await,
    }
}
