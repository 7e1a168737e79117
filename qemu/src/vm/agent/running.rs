// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A running command in the guest.

use guest_agent::wire::{ExecId, ExitStatus, Output, Pid, Signal, ToGuest, TtySize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
};

use super::{AgentError, CommandOutput, ExecRequest, OutputStream, Stdin, link::Link};

/// A command in the guest. Dropping it kills the command.
///
/// Take its streams and use them while it runs. Like a local command, it stops if its output is not
/// read; and here it does not end before its output is read or the stream is dropped.
pub struct Running {
    /// Its standard input, if the request asked for one or for a terminal.
    pub stdin: Option<Stdin>,
    /// Its standard output, or all output of a terminal.
    pub stdout: Option<OutputStream>,
    /// Its standard error; empty on a terminal.
    pub stderr: Option<OutputStream>,
    command: String,
    exec: ExecId,
    link: Link,
    pid: Option<Pid>,
    exited: oneshot::Receiver<ExitStatus>,
    status: Option<ExitStatus>,
}

impl Running {
    pub(super) async fn start(link: Link, request: ExecRequest) -> Result<Self, AgentError> {
        let command = request.to_string();
        let gone = |source| AgentError::Gone {
            doing: format!("the start of {command}"),
            source,
        };
        let receivers = link.registry.add_exec().map_err(gone)?;
        let exec = receivers.exec;
        let stdin = request
            .stdin_is_ours()
            .then(|| Stdin::new(exec, link.clone(), receivers.stdin));
        link.send(ToGuest::Exec {
            exec,
            command: request.into_command(),
        });
        // From here on a drop kills the command, also during the wait for its start.
        let mut running = Self {
            stdin,
            stdout: Some(OutputStream::new(
                exec,
                Output::Stdout,
                link.clone(),
                receivers.stdout,
            )),
            stderr: Some(OutputStream::new(
                exec,
                Output::Stderr,
                link.clone(),
                receivers.stderr,
            )),
            command: command.clone(),
            exec,
            link,
            pid: None,
            exited: receivers.exited,
            status: None,
        };
        match receivers.started.await {
            Ok(Ok(pid)) => running.pid = Some(pid),
            Ok(Err(source)) => {
                return Err(AgentError::Refused {
                    doing: format!("the start of {command}"),
                    source,
                });
            }
            Err(_) => return Err(gone(running.link.registry.ended())),
        }
        Ok(running)
    }

    /// The command line, for messages.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// Its first process, in the guest's numbers.
    pub fn pid(&self) -> Pid {
        self.pid.expect("a started command has a process")
    }

    /// A handle that can signal and resize the command while another task waits for it.
    pub fn control(&self) -> Control {
        Control {
            exec: self.exec,
            link: self.link.clone(),
        }
    }

    /// Signals the command's process group. Without effect once it has ended.
    pub fn signal(&self, signal: Signal) {
        self.control().signal(signal);
    }

    /// Tells the command's terminal its new size.
    pub fn resize(&self, size: TtySize) {
        self.control().resize(size);
    }

    /// Waits for the command to end. Closes its standard input, unless that has been taken. May be
    /// cancelled and called again.
    ///
    /// # Errors
    ///
    /// [`AgentError::Gone`] when the connection ends first.
    pub async fn wait(&mut self) -> Result<ExitStatus, AgentError> {
        self.stdin = None;
        if let Some(status) = self.status {
            return Ok(status);
        }
        match (&mut self.exited).await {
            Ok(status) => Ok(*self.status.insert(status)),
            Err(_) => Err(AgentError::Gone {
                doing: format!("the end of {}", self.command),
                source: self.link.registry.ended(),
            }),
        }
    }

    /// Writes `input`, ends the standard input, collects all output and waits for the end.
    ///
    /// # Errors
    ///
    /// [`AgentError::Gone`] when the connection ends first. A command that does not read all of
    /// its input is no error.
    pub async fn finish(mut self, input: &[u8]) -> Result<CommandOutput, AgentError> {
        let stdin = self.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                // Fails only if the command has closed its input, or the connection has ended,
                // which `wait` reports.
                stdin.write_all(input).await.ok();
            }
        };
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let (_, stdout, stderr, status) =
            tokio::join!(feed, collect(stdout), collect(stderr), self.wait());
        let status = status?;
        let stream = |source| AgentError::Stream {
            command: self.command.clone(),
            source,
        };
        Ok(CommandOutput {
            stdout: stdout.map_err(stream)?,
            stderr: stderr.map_err(stream)?,
            command: self.command.clone(),
            status,
        })
    }
}

/// Signals and resizes a command; see [`Running::control`].
#[derive(Clone)]
pub struct Control {
    exec: ExecId,
    link: Link,
}

impl Control {
    /// Signals the command's process group. Without effect once it has ended.
    pub fn signal(&self, signal: Signal) {
        self.link.send(ToGuest::Signal {
            exec: self.exec,
            signal,
        });
    }

    /// Tells the command's terminal its new size.
    pub fn resize(&self, size: TtySize) {
        self.link.send(ToGuest::Resize {
            exec: self.exec,
            size,
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.signal(Signal::KILL);
        }
    }
}

async fn collect(stream: Option<OutputStream>) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}
