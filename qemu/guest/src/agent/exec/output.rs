// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a command's standard output or error to the host.

use std::{
    os::fd::OwnedFd,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    event::PollFlags,
    io::{Errno, read},
};

use super::ExitEvent;
use crate::agent::outbox::Outbox;
use crate::wire::{
    ExecId, MAX_CHUNK, Output, ToHost,
    flow::{SendCredit, TooMuchCredit},
};

/// The most unread bytes that a pipe can hold when its writer has ended (Linux's default
/// `pipe-max-size`). More must come from a process that the command has left behind.
const LEFT_IN_PIPE: usize = 1024 * 1024;

/// The credit of one stream.
#[derive(Default)]
pub(super) struct OutputFlow {
    state: Mutex<FlowState>,
    changed: Condvar,
}

#[derive(Default)]
struct FlowState {
    credit: SendCredit,
    closed: bool,
}

impl OutputFlow {
    /// The host has taken some bytes.
    pub(super) fn restore(&self, bytes: u32) -> Result<(), TooMuchCredit> {
        let restored = self.state().credit.restore(bytes);
        self.changed.notify_all();
        restored
    }

    /// The host wants no more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn spend(&self, bytes: usize) {
        self.state().credit.spend(bytes);
    }

    /// Waits for credit; `None` when the stream is closed.
    fn wait(&self) -> Option<usize> {
        let no_credit = |state: &mut FlowState| !state.closed && state.credit.available(1) == 0;
        let state = self
            .changed
            .wait_while(self.state(), no_credit)
            .unwrap_or_else(PoisonError::into_inner);
        (!state.closed).then(|| state.credit.available(MAX_CHUNK))
    }

    fn state(&self) -> MutexGuard<'_, FlowState> {
        // No code that holds the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends the stream's bytes until it ends, the host closes it, or the command has ended and its
/// output is sent.
pub(super) fn pump(
    exec: ExecId,
    output: Output,
    source: &OwnedFd,
    flow: &OutputFlow,
    exit: &ExitEvent,
    outbox: &Outbox,
) {
    let mut buffer = vec![0; MAX_CHUNK];
    let mut left_after_exit = LEFT_IN_PIPE;
    while let Some(allowed) = flow.wait() {
        let exited = match exit.or_ready(source, PollFlags::IN) {
            Ok(exited) => exited,
            Err(error) => return outbox.warn(format!("{exec}: can't wait for output: {error}")),
        };
        match read(source, &mut buffer[..allowed]) {
            Err(Errno::AGAIN) if exited => return,
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A terminal reports EIO when its other end is closed.
            Ok(0) | Err(Errno::IO) => return outbox.send(&ToHost::OutputEof { exec, output }),
            Err(error) => return outbox.warn(format!("{exec}: can't read its output: {error}")),
            Ok(len) => {
                flow.spend(len);
                outbox.send(&ToHost::Data {
                    exec,
                    output,
                    bytes: buffer[..len].to_vec(),
                });
                if exited {
                    left_after_exit = left_after_exit.saturating_sub(len);
                    if left_after_exit == 0 {
                        return;
                    }
                }
            }
        }
    }
}
