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

/// Bytes for a command that are not yet written. The host's credit bounds them.
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

    /// Records that the host sends no more.
    pub(super) fn end(&self) {
        self.state().ended = true;
        self.changed.notify_all();
    }

    /// Drops the queue: the command reads no more.
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

/// Writes the queued bytes until their end, or until no process reads them any more.
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
        // A failure means that the terminal is closed, and needs no end of input.
        end_terminal_input(sink, exit).ok();
    }
}

/// A closed pipe ends the input; a terminal has a character for it.
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
