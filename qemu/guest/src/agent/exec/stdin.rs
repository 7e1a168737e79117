// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From the host to a command's standard input.

use std::{
    collections::VecDeque,
    io,
    os::fd::OwnedFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    event::PollFlags,
    io::{Errno, write},
    termios::{SpecialCodeIndex, tcgetattr},
};

use super::ExitEvent;
use crate::agent::outbox::Outbox;
use crate::wire::{ExecId, ToHost, flow::ReturnCredit};

/// What has come for a command and is not yet written. The host's credit bounds it.
#[derive(Default)]
pub(super) struct StdinQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    chunks: VecDeque<Vec<u8>>,
    ended: bool,
}

impl StdinQueue {
    pub(super) fn push(&self, bytes: Vec<u8>) {
        self.state().chunks.push_back(bytes);
        self.changed.notify_all();
    }

    /// Nothing more comes.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Nothing more is wanted.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.chunks.clear();
        state.ended = true;
        self.changed.notify_all();
    }

    /// Waits for bytes; `None` at the end.
    fn next(&self) -> Option<Vec<u8>> {
        let mut state = self
            .changed
            .wait_while(self.state(), |s| s.chunks.is_empty() && !s.ended)
            .unwrap_or_else(PoisonError::into_inner);
        state.chunks.pop_front()
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes what comes until its end, or until nobody reads it any more.
pub(super) fn pump(
    exec: ExecId,
    queue: &StdinQueue,
    sink: &OwnedFd,
    is_terminal: bool,
    exit: &ExitEvent,
    outbox: &Outbox,
) {
    let mut consumed = ReturnCredit::default();
    while let Some(bytes) = queue.next() {
        if write_all(sink, &bytes, exit).is_err() {
            queue.abandon();
            return outbox.send(&ToHost::StdinClosed { exec });
        }
        if let Some(bytes) = consumed.consume(bytes.len()) {
            outbox.send(&ToHost::StdinCredit { exec, bytes });
        }
    }
    if is_terminal {
        // A failure means that the terminal has gone, and with it the need for an end.
        end_terminal_input(sink, exit).ok();
    }
}

/// A pipe ends by being closed; a terminal has a character for it.
fn end_terminal_input(terminal: &OwnedFd, exit: &ExitEvent) -> io::Result<()> {
    let end = tcgetattr(terminal)?.special_codes[SpecialCodeIndex::VEOF];
    write_all(terminal, &[end], exit)
}

fn write_all(sink: &OwnedFd, mut bytes: &[u8], exit: &ExitEvent) -> io::Result<()> {
    while !bytes.is_empty() {
        if exit.or_ready(sink, PollFlags::OUT)? {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        match write(sink, bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
