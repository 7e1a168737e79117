// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a guest command's output to this process's own, unchanged.
//!
//! Written by a thread, for the same reasons as the [input](super::input) is read by one: a reader
//! that is slow, or has stopped, must hold up neither other streams nor this process's end.

use std::{io, os::fd::BorrowedFd, thread};

use qemu_guest::vm::agent::OutputStream;
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, write},
    stdio,
};
use tokio::sync::{mpsc, oneshot};

use super::TerminalError;

/// How many chunks may wait for the writer; more stay in the guest.
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

/// Passes on all that the command writes. When nobody reads this process's output any more, the
/// command's is closed in the guest, where it then gets SIGPIPE: no error here.
pub(super) async fn pass_on(mut stream: OutputStream, sink: Sink) -> Result<(), TerminalError> {
    let failed = |source| TerminalError::Output {
        stream: sink.name(),
        source,
    };
    let (chunks, taken) = mpsc::channel(WRITE_BEHIND);
    let (outcome_sender, outcome) = oneshot::channel();
    thread::spawn(move || {
        // An error means that the session has ended before.
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
                // Somebody who shares it has made it non-blocking.
                Err(Errno::AGAIN) => {
                    poll(&mut [PollFd::from_borrowed_fd(sink, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
