// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs the shell or the command in the guest while guest and daemon live.

use std::{
    env,
    io::{self, IsTerminal as _},
    time::Duration,
};

use anyhow::{Error, Result};
use qemu_guest::vm::process::GuestError;
use qemu_guest::vm::{
    Vm,
    agent::{Agent, AgentError, Errno, ExecRequest, ExitStatus, Failure},
};

use super::{
    config::{Config, Task},
    mount::TARGET,
    root::{self, RootShare},
};
use crate::{
    cli::Status,
    terminal::{self, TerminalError},
};

/// How long after its connections QEMU may end.
const LAST_WORDS_DEADLINE: Duration = Duration::from_secs(5);
/// The guest's interactive shell.
const SHELL: &str = "sh";
/// The shell's prompt, which shows that this is not the host.
const PROMPT: &str = r"guest:\w\$ ";

/// Runs the task to its end.
///
/// # Errors
///
/// If the guest or the daemon ends before the task.
pub async fn run(vm: &mut Vm, config: &Config) -> Result<Status> {
    let agent = vm.agent().clone();
    let ended = tokio::select! {
        ended = task(&agent, config) => ended,
        error = vm.failed() => return lost(error, &config.task),
    };
    match ended {
        Ok(status) => Ok(Status::Command(status)),
        Err(TerminalError::Interrupted(signal)) => Ok(Status::Signalled(signal_number(signal.0))),
        Err(TerminalError::Agent(AgentError::Refused { source, .. })) => {
            eprintln!("daxlab: {}", not_started(&config.task, &source));
            Ok(Status::Command(ExitStatus::Exited(shell_code(&source))))
        }
        Err(TerminalError::Agent(error @ AgentError::Gone { .. })) => {
            // The end of QEMU or of the daemon is noticed a moment later, and explains the failure
            // better.
            match tokio::time::timeout(LAST_WORDS_DEADLINE, vm.failed()).await {
                Ok(reason) => lost(reason, &config.task),
                Err(_elapsed) => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

async fn task(agent: &Agent, config: &Config) -> Result<ExitStatus, TerminalError> {
    match &config.task {
        Task::Command(command) => terminal::command(agent, request(config, command.clone())).await,
        Task::Shell => {
            let shell = config.root.as_ref().map_or(SHELL.into(), RootShare::shell);
            let request = request(config, vec![shell]);
            if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
                // A shell that reads its commands from standard input, like a local one.
                return terminal::command(agent, request).await;
            }
            eprintln!("{}", greeting(agent, config));
            terminal::shell(agent, request.env("PS1", PROMPT)).await
        }
    }
}

/// Programs of a root know this terminal; the initramfs has no descriptions of terminals.
fn request(config: &Config, argv: Vec<String>) -> ExecRequest {
    let request = ExecRequest::new(argv).cwd(TARGET);
    match (&config.root, env::var("TERM")) {
        (None, _) => request,
        (Some(_), Ok(term)) => request.root(root::BASE).env("TERM", term),
        (Some(_), Err(_)) => request.root(root::BASE),
    }
}

fn greeting(agent: &Agent, config: &Config) -> String {
    let window = match config.window.size() {
        Some(size) => format!("through a DAX window of {size}"),
        None => "without a DAX window".to_owned(),
    };
    format!(
        "{} is at {TARGET} in this guest (Linux {}), {window}; 'exit' ends the guest",
        config.share.dir.display(),
        agent.boot().kernel,
    )
}

/// The result after the end of QEMU or of a daemon: for a shell, the guest's power-off is a
/// success.
fn lost(error: Error, task: &Task) -> Result<Status> {
    let powered_off = matches!(
        error.downcast_ref(),
        Some(GuestError::Ended(ended)) if ended.status.success()
    );
    if powered_off && *task == Task::Shell {
        eprintln!("daxlab: the guest has powered off");
        return Ok(Status::Success);
    }
    Err(error.context("the guest was lost"))
}

/// The message about a task that the guest could not start.
fn not_started(task: &Task, failure: &Failure) -> String {
    let program = match task {
        Task::Command(command) => command.first().map_or("", String::as_str),
        Task::Shell => SHELL,
    };
    format!("can't start {program} in the guest: {failure}")
}

/// The exit code of a shell that can't start a command.
fn shell_code(failure: &Failure) -> u8 {
    match failure.errno {
        Some(Errno(libc::ENOENT)) => 127,
        _ => 126,
    }
}

fn signal_number(signal: i32) -> u8 {
    u8::try_from(signal).unwrap_or(u8::MAX)
}
