// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests to stop.
//!
//! There is one pipe, made before any fork. The handler of SIGTERM, SIGINT and SIGHUP writes a byte
//! to the pipe in each process that gets the signal, and the daemon reads it. So no process needs
//! another's process id, which would be of no use in a process namespace. A signal during start-up
//! waits in the pipe. The handlers restart system calls, so a process that waits in virtiofsd's
//! code is not interrupted.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// The signals that ask the daemon to stop.
const SIGNALS: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// The reading end of the pipe.
#[derive(Debug)]
pub(super) struct StopRequests(PipeReader);

impl StopRequests {
    /// Installs the handlers, which every process forked from now on inherits.
    pub(super) fn listen() -> io::Result<Self> {
        let (reader, writer) = io::pipe()?;
        for signal in SIGNALS {
            pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Self(reader))
    }

    /// A pipe to which no request comes.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        let (reader, writer) = io::pipe().expect("a pipe");
        std::mem::forget(writer);
        Self(reader)
    }

    /// Waits for `time`, or until a process of this daemon is asked to stop. Returns whether one
    /// was.
    pub(super) fn wait_for(&self, time: Duration) -> bool {
        let mut pipe = [PollFd::new(&self.0, PollFlags::IN)];
        // A signal that interrupts this call has written to the pipe, so the next look finds it.
        let limit = Timespec::try_from(time).ok();
        poll(&mut pipe, limit.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Readable while a request is in the pipe.
    pub(super) fn as_event(&self) -> PollFd<'_> {
        PollFd::new(&self.0, PollFlags::IN)
    }

    /// Blocks until a process of this daemon was asked to stop.
    pub(super) fn wait(self) {
        wait_for_byte_or_end(self.0);
    }
}

/// Makes a [`DeathPipe`], and the end that the watched process holds.
pub(super) fn death_pipe() -> io::Result<(DeathPipe, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((DeathPipe(reader), writer))
}

/// Reaches its end when a process is gone, which alone holds the other end.
#[derive(Debug)]
pub(super) struct DeathPipe(PipeReader);

impl DeathPipe {
    /// Readable when a byte was written to the other end, and when no process holds it.
    pub(super) fn as_event(&self) -> PollFd<'_> {
        PollFd::new(&self.0, PollFlags::IN)
    }

    /// Blocks until no process holds the other end.
    pub(super) fn wait(self) {
        wait_for_byte_or_end(self.0);
    }
}

/// An error counts as an end: the caller must not block without an end.
fn wait_for_byte_or_end(mut pipe: PipeReader) {
    let mut byte = [0];
    while let Err(error) = pipe.read(&mut byte) {
        if error.kind() != io::ErrorKind::Interrupted {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{StopRequests, death_pipe};
    use crate::testing::{begun_in_background, expect, expect_to_wait};

    #[test]
    fn each_signal_is_a_request() {
        for signal in super::SIGNALS {
            let stop = StopRequests::listen().unwrap();
            signal_hook::low_level::raise(signal).unwrap();
            stop.wait();
        }
    }

    #[test]
    fn a_death_pipe_ends_with_its_last_holder() {
        let (parent_death, held) = death_pipe().unwrap();
        let also_held = held.try_clone().unwrap();
        let ended = begun_in_background(|| parent_death.wait());
        drop(held);
        expect_to_wait(&ended, "a death pipe has ended before its last holder");
        drop(also_held);
        expect(&ended, "the pipe to end");
    }
}
