// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Being asked to stop.
//!
//! One pipe, made before any fork: the handler of SIGTERM, SIGINT and SIGHUP writes a byte to it
//! in whichever process the signal reached, and the daemon reads it. Nobody has to know anybody's
//! process id, which in a process namespace would not help anyway; a signal that comes during
//! start-up waits in the pipe; and a process that waits in virtiofsd's code isn't torn out of it,
//! because the handlers restart system calls.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// The signals that ask the daemon to stop.
const SIGNALS: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// The reading end: says when the daemon has been asked to stop.
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

    /// Requests that never come.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        let (reader, writer) = io::pipe().expect("a pipe");
        std::mem::forget(writer);
        Self(reader)
    }

    /// Waits so long, and says whether a process of this daemon was asked to stop by then.
    pub(super) fn wait_for(&self, time: Duration) -> bool {
        let mut pipe = [PollFd::new(&self.0, PollFlags::IN)];
        // A signal that interrupts this is in the pipe when it is looked at again.
        let limit = Timespec::try_from(time).ok();
        poll(&mut pipe, limit.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Readable while a request waits to be taken.
    pub(super) fn as_event(&self) -> PollFd<'_> {
        PollFd::new(&self.0, PollFlags::IN)
    }

    /// Blocks until a process of this daemon was asked to stop.
    pub(super) fn wait(self) {
        wait_for_byte_or_end(self.0);
    }
}

/// Makes a [`DeathPipe`] and the end that is to be held.
pub(super) fn death_pipe() -> io::Result<(DeathPipe, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((DeathPipe(reader), writer))
}

/// Tells when a process is gone: the one that alone holds the other end.
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

/// An error counts as an end: the caller must not wait for ever.
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
