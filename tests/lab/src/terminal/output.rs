// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Writes a guest command's output to this process's own, unchanged.
//!
//! A thread writes, for the same reasons for which a thread reads the [input](super::input): a slow
//! or stopped reader must delay neither other streams nor the end of this process.

use std::{io, os::fd::BorrowedFd, thread};

use qemu_guest::vm::agent::OutputStream;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, write},
    stdio,
};
use tokio::sync::{mpsc, oneshot};

use super::TerminalError;

/// How many chunks may wait for the writer. Further chunks stay in the guest.
const WRITE_BEHIND: usize = 2;

/// One of this process's outputs.
#[derive(Clone, Copy)]
pub(super) enum Sink {
    Stdout,
    Stderr,
}

impl Sink {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
        }
    }

    fn fd(self) -> BorrowedFd<'static> {
        match self {
            Self::Stdout => stdio::stdout(),
            Self::Stderr => stdio::stderr(),
        }
    }
}

/// Passes on all of the command's output. If the reader of this process's output has closed it, the
/// command's output is closed in the guest, where the command gets SIGPIPE. This is no error here.
pub(super) async fn pass_on(mut stream: OutputStream, sink: Sink) -> Result<(), TerminalError> {
    let failed = |source| TerminalError::Output {
        stream: sink.name(),
        source,
    };
    let (chunks, taken) = mpsc::channel(WRITE_BEHIND);
    let (outcome_sender, outcome) = oneshot::channel();
    thread::spawn(move || {
        // Sending fails only if the session has ended before.
        outcome_sender.send(write_all(taken, sink.fd())).ok();
    });
    while let Some(chunk) = stream.chunk().await.map_err(failed)? {
        if chunks.send(chunk).await.is_err() {
            break;
        }
    }
    drop(chunks);
    let written = outcome.await.expect("the writer tells how it ended");
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(failed),
    }
}

fn write_all(mut chunks: mpsc::Receiver<Vec<u8>>, sink: BorrowedFd<'_>) -> io::Result<()> {
    while let Some(chunk) = chunks.blocking_recv() {
        let mut rest = &*chunk;
        while !rest.is_empty() {
            match write(sink, rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                // Another process that shares the output has made it non-blocking.
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::from_borrowed_fd(sink, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
