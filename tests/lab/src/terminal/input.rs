// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! This process's standard input, read by a thread.
//!
//! The input may be anything (a terminal shared with other processes, a file, a pipe), and must not
//! be made non-blocking for all processes that share it, so a thread reads it. The thread reads
//! only when there is input, and stops when the session ends. So it neither delays the end of the
//! process nor takes bytes that are meant for the next reader.

use std::{io, os::fd::OwnedFd, thread};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, read},
    pipe::{PipeFlags, pipe_with},
    stdio,
};
use tokio::sync::mpsc;

use super::TerminalError;

const READ_BYTES: usize = 32 * 1024;

/// How many chunks may wait for the guest to take them.
const READ_AHEAD: usize = 4;

/// Reads the standard input until its end, or until this is dropped.
pub(super) struct Input {
    chunks: mpsc::Receiver<io::Result<Vec<u8>>>,
    /// Its close tells the thread to stop.
    _session: OwnedFd,
}

impl Input {
    pub(super) fn start() -> Result<Self, TerminalError> {
        let (ended, session) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|errno| TerminalError::Input(errno.into()))?;
        let (sender, chunks) = mpsc::channel(READ_AHEAD);
        thread::spawn(move || {
            while let Some(chunk) = next(&ended).transpose() {
                let failed = chunk.is_err();
                if sender.blocking_send(chunk).is_err() || failed {
                    return;
                }
            }
        });
        Ok(Self {
            chunks,
            _session: session,
        })
    }

    /// The next bytes; `None` at the end, or if the input can't be read.
    pub(super) async fn chunk(&mut self) -> Option<Vec<u8>> {
        let chunk = self.chunks.recv().await?;
        chunk
            .inspect_err(|error| log::warn!("can't read the standard input: {error}"))
            .ok()
    }
}

/// Waits for bytes; `None` at the end of the input or of the session.
fn next(session_ended: &OwnedFd) -> io::Result<Option<Vec<u8>>> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let mut polled = [
            PollFd::from_borrowed_fd(stdio::stdin(), PollFlags::IN),
            PollFd::new(session_ended, PollFlags::IN),
        ];
        match poll(&mut polled, None) {
            Err(Errno::INTR) => continue,
            outcome => outcome?,
        };
        if !polled[1].revents().is_empty() {
            return Ok(None);
        }
        match read(stdio::stdin(), &mut buffer) {
            Ok(0) => return Ok(None),
            Ok(len) => {
                buffer.truncate(len);
                return Ok(Some(buffer));
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
