// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The running commands, and the host's controls over them.
//!
//! A message for a command that is not in the table is for one that has just ended, and is dropped:
//! the host can't know of the end yet.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use rustix::process::Pid;

use super::{
    ExitEvent,
    output::{self, OutputFlow},
    spawn::{self, Spawned, Streams},
    stdin::{self, StdinQueue},
};
use crate::agent::{children::Children, outbox::Outbox};
use crate::wire::{Command, Errno, ExecId, Failure, Output, Signal, ToHost, TtySize};

/// All commands of the connection.
pub(crate) struct Execs {
    table: Mutex<HashMap<ExecId, Arc<Exec>>>,
    children: Arc<Children>,
    outbox: Arc<Outbox>,
}

/// One command's controls.
struct Exec {
    pid: Pid,
    stdin: StdinQueue,
    stdout: OutputFlow,
    stderr: OutputFlow,
    terminal: Option<OwnedFd>,
}

impl Exec {
    fn flow(&self, output: Output) -> &OutputFlow {
        match output {
            Output::Stdout => &self.stdout,
            Output::Stderr => &self.stderr,
        }
    }
}

impl Execs {
    pub(crate) fn new(children: Arc<Children>, outbox: Arc<Outbox>) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            children,
            outbox,
        })
    }

    /// Starts a command and the threads that serve it.
    pub(crate) fn start(self: &Arc<Self>, exec: ExecId, command: &Command) {
        let started =
            ExitEvent::new().and_then(|exit| Ok((exit, spawn::spawn(&self.children, command)?)));
        match started {
            Ok((exit, spawned)) => self.supervise(exec, exit, spawned),
            Err(error) => self.outbox.send(&ToHost::Refused {
                exec,
                failure: Failure {
                    errno: error.raw_os_error().map(Errno),
                    message: error.to_string(),
                },
            }),
        }
    }

    pub(crate) fn stdin(&self, exec: ExecId, bytes: Vec<u8>) {
        self.with(exec, |command| command.stdin.push(bytes));
    }

    pub(crate) fn end_stdin(&self, exec: ExecId) {
        self.with(exec, |command| command.stdin.end());
    }

    pub(crate) fn close_output(&self, exec: ExecId, output: Output) {
        self.with(exec, |command| command.flow(output).close());
    }

    pub(crate) fn credit(&self, exec: ExecId, output: Output, bytes: u32) {
        self.with(exec, |command| {
            if let Err(error) = command.flow(output).restore(bytes) {
                self.outbox.warn(format!("{exec}: {error}"));
            }
        });
    }

    pub(crate) fn signal(&self, exec: ExecId, signal: Signal) {
        self.with(exec, |command| {
            if let Err(error) = self.children.signal_group(command.pid, signal) {
                self.outbox
                    .warn(format!("{exec}: can't send {signal}: {error}"));
            }
        });
    }

    pub(crate) fn resize(&self, exec: ExecId, size: TtySize) {
        self.with(exec, |command| {
            let resized = command.terminal.as_ref().map(|t| spawn::resize(t, size));
            if let Some(Err(error)) = resized {
                self.outbox
                    .warn(format!("{exec}: can't resize its terminal: {error}"));
            }
        });
    }

    /// Puts a started command in the table and serves its streams until it has ended.
    fn supervise(self: &Arc<Self>, exec: ExecId, exit: ExitEvent, spawned: Spawned) {
        let Spawned { pid, end, streams } = spawned;
        let Streams {
            stdin,
            stdout,
            stderr,
            terminal,
        } = streams;
        let command = Arc::new(Exec {
            pid,
            stdin: StdinQueue::default(),
            stdout: OutputFlow::default(),
            stderr: OutputFlow::default(),
            terminal,
        });
        self.table().insert(exec, Arc::clone(&command));
        self.outbox.send(&ToHost::Started {
            exec,
            pid: crate::wire::Pid(pid.as_raw_nonzero().get()),
        });
        let mut pumps = vec![self.pump_output(exec, Output::Stdout, stdout, &command, &exit)];
        pumps.extend(stderr.map(|fd| self.pump_output(exec, Output::Stderr, fd, &command, &exit)));
        pumps.extend(stdin.map(|fd| self.pump_stdin(exec, fd, &command, &exit)));
        let execs = Arc::clone(self);
        thread::spawn(move || {
            let status = end.recv().expect("the reaper tells the end of every child");
            exit.happen();
            command.stdin.abandon();
            for pump in pumps {
                // A panicked thread has reported its panic.
                pump.join().ok();
            }
            execs.table().remove(&exec);
            execs.outbox.send(&ToHost::Exited { exec, status });
        });
    }

    fn pump_output(
        &self,
        exec: ExecId,
        output: Output,
        source: OwnedFd,
        command: &Arc<Exec>,
        exit: &ExitEvent,
    ) -> JoinHandle<()> {
        let (command, exit) = (Arc::clone(command), exit.clone());
        let outbox = Arc::clone(&self.outbox);
        thread::spawn(move || {
            output::pump(exec, output, &source, command.flow(output), &exit, &outbox);
        })
    }

    fn pump_stdin(
        &self,
        exec: ExecId,
        sink: OwnedFd,
        command: &Arc<Exec>,
        exit: &ExitEvent,
    ) -> JoinHandle<()> {
        let (command, exit) = (Arc::clone(command), exit.clone());
        let outbox = Arc::clone(&self.outbox);
        let is_terminal = command.terminal.is_some();
        thread::spawn(move || {
            stdin::pump(exec, &command.stdin, &sink, is_terminal, &exit, &outbox);
        })
    }

    fn with(&self, exec: ExecId, act: impl FnOnce(&Exec)) {
        let command = self.table().get(&exec).cloned();
        if let Some(command) = command {
            act(&command);
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<ExecId, Arc<Exec>>> {
        // No code that holds the lock can panic half-way through a change.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
