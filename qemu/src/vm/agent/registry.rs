// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The table that finds the receiver of each message from the guest.
//!
//! Owner: one connection. The table's lock is held for a look-up only, never across a wait.
//! Invariant: once the link has [ended](Registry::end), nothing more is registered and every
//! receiver has been told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use guest_agent::wire::{
    ExecId, ExitStatus, Failure, LogLevel, Output, Pid, Reply, Request, RequestId, ToGuest, ToHost,
};
use tokio::sync::{mpsc, oneshot};

use super::{LinkError, streams::StdinWindow};

pub(super) type Outcome = Result<Reply, Failure>;

/// An item for the receiver of an output stream: bytes, or the reason why no more come.
pub(super) type Chunk = Result<Vec<u8>, Arc<LinkError>>;

/// The ends of a new command's channels that its owner keeps.
pub(super) struct ExecReceivers {
    pub(super) exec: ExecId,
    pub(super) started: oneshot::Receiver<Result<Pid, Failure>>,
    pub(super) exited: oneshot::Receiver<ExitStatus>,
    pub(super) stdin: Arc<StdinWindow>,
    pub(super) stdout: mpsc::UnboundedReceiver<Chunk>,
    pub(super) stderr: mpsc::UnboundedReceiver<Chunk>,
}

/// The other ends of those.
struct ExecSenders {
    started: Option<oneshot::Sender<Result<Pid, Failure>>>,
    exited: oneshot::Sender<ExitStatus>,
    stdin: Arc<StdinWindow>,
    stdout: Option<mpsc::UnboundedSender<Chunk>>,
    stderr: Option<mpsc::UnboundedSender<Chunk>>,
}

impl ExecSenders {
    fn output(&mut self, output: Output) -> &mut Option<mpsc::UnboundedSender<Chunk>> {
        match output {
            Output::Stdout => &mut self.stdout,
            Output::Stderr => &mut self.stderr,
        }
    }
}

pub(super) struct Registry {
    tables: Mutex<Tables>,
}

struct Tables {
    last_id: u32,
    replies: HashMap<RequestId, oneshot::Sender<Outcome>>,
    execs: HashMap<ExecId, ExecSenders>,
    heard: Instant,
    ended: Option<Arc<LinkError>>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            tables: Mutex::new(Tables {
                last_id: 0,
                replies: HashMap::new(),
                execs: HashMap::new(),
                heard: Instant::now(),
                ended: None,
            }),
        }
    }

    /// Registers a receiver of the reply to `request`; returns it with the message to send.
    pub(super) fn add_request(
        &self,
        request: Request,
    ) -> Result<(ToGuest, oneshot::Receiver<Outcome>), Arc<LinkError>> {
        let mut tables = self.tables();
        let id = RequestId(tables.next_id()?);
        let (sender, receiver) = oneshot::channel();
        tables.replies.insert(id, sender);
        Ok((ToGuest::Request { id, request }, receiver))
    }

    /// Registers the receivers of a new command.
    pub(super) fn add_exec(&self) -> Result<ExecReceivers, Arc<LinkError>> {
        let mut tables = self.tables();
        let exec = ExecId(tables.next_id()?);
        let (started_sender, started) = oneshot::channel();
        let (exited_sender, exited) = oneshot::channel();
        let (stdout_sender, stdout) = mpsc::unbounded_channel();
        let (stderr_sender, stderr) = mpsc::unbounded_channel();
        let stdin = Arc::new(StdinWindow::new());
        tables.execs.insert(
            exec,
            ExecSenders {
                started: Some(started_sender),
                exited: exited_sender,
                stdin: Arc::clone(&stdin),
                stdout: Some(stdout_sender),
                stderr: Some(stderr_sender),
            },
        );
        Ok(ExecReceivers {
            exec,
            started,
            exited,
            stdin,
            stdout,
            stderr,
        })
    }

    /// Passes one message to its receiver. Drops it if there is none any more.
    pub(super) fn dispatch(&self, message: ToHost) -> Result<(), LinkError> {
        let mut tables = self.tables();
        tables.heard = Instant::now();
        match message {
            ToHost::Hello(_) => {
                return Err(LinkError::Protocol("a second Hello".into()));
            }
            ToHost::Heartbeat { .. } => {}
            ToHost::Log { level, text } => match level {
                LogLevel::Info => log::info!(target: "guest", "{text}"),
                LogLevel::Warning => log::warn!(target: "guest", "{text}"),
            },
            ToHost::Reply { id, outcome } => {
                if let Some(waiter) = tables.replies.remove(&id) {
                    // An error means that the receiver gave up.
                    waiter.send(outcome).ok();
                }
            }
            ToHost::Refused { exec, failure } => {
                if let Some(mut entry) = tables.execs.remove(&exec) {
                    entry.tell_started(Err(failure));
                    entry.stdin.close();
                }
            }
            ToHost::Exited { exec, status } => {
                if let Some(entry) = tables.execs.remove(&exec) {
                    entry.stdin.close();
                    entry.exited.send(status).ok();
                }
            }
            ToHost::Started { exec, pid } => tables.with(exec, |e| e.tell_started(Ok(pid))),
            ToHost::Data {
                exec,
                output,
                bytes,
            } => tables.with(exec, |entry| {
                if let Some(sender) = entry.output(output) {
                    sender.send(Ok(bytes)).ok();
                }
            }),
            ToHost::OutputEof { exec, output } => {
                tables.with(exec, |entry| *entry.output(output) = None);
            }
            ToHost::StdinClosed { exec } => tables.with(exec, |entry| entry.stdin.close()),
            ToHost::StdinCredit { exec, bytes } => {
                if let Some(entry) = tables.execs.get(&exec) {
                    let restored = entry.stdin.restore(bytes);
                    restored.map_err(|err| LinkError::Protocol(format!("{exec}: {err}")))?;
                }
            }
        }
        Ok(())
    }

    /// Tells all receivers that nothing more comes, and why.
    pub(super) fn end(&self, why: LinkError) {
        let why = Arc::new(why);
        let mut tables = self.tables();
        tables.ended.get_or_insert_with(|| Arc::clone(&why));
        tables.replies.clear();
        for (_, entry) in tables.execs.drain() {
            entry.stdin.close();
            for sender in [entry.stdout, entry.stderr].into_iter().flatten() {
                sender.send(Err(Arc::clone(&why))).ok();
            }
        }
    }

    /// Why a receiver of this table lost its sender.
    pub(super) fn ended(&self) -> Arc<LinkError> {
        let ended = self.tables().ended.clone();
        ended.unwrap_or_else(|| Arc::new(LinkError::Dropped))
    }

    /// When the last message of any kind came.
    pub(super) fn heard(&self) -> Instant {
        self.tables().heard
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // No code that holds the lock can panic half-way through a change.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ExecSenders {
    fn tell_started(&mut self, outcome: Result<Pid, Failure>) {
        if let Some(sender) = self.started.take() {
            sender.send(outcome).ok();
        }
    }
}

impl Tables {
    fn next_id(&mut self) -> Result<u32, Arc<LinkError>> {
        if let Some(why) = &self.ended {
            return Err(Arc::clone(why));
        }
        self.last_id = self.last_id.wrapping_add(1);
        Ok(self.last_id)
    }

    fn with(&mut self, exec: ExecId, act: impl FnOnce(&mut ExecSenders)) {
        if let Some(entry) = self.execs.get_mut(&exec) {
            act(entry);
        }
    }
}
