// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Commands that run for the host.
//!
//! Each command has a thread that waits for its end and one for each of its streams. They share an
//! [`ExitEvent`]: once the command's first process has ended they finish the work under way and
//! end, even if other processes still hold the other ends of the pipes.

mod output;
mod spawn;
mod stdin;
mod table;

use std::{io, os::fd::OwnedFd, sync::Arc};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, eventfd, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};

pub(crate) use table::Execs;

/// Happens once, when the command's first process has ended; every thread sees it.
#[derive(Clone)]
struct ExitEvent(Arc<OwnedFd>);

impl ExitEvent {
    fn new() -> io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(event)))
    }

    fn happen(&self) {
        rustix::io::write(&*self.0, &1u64.to_ne_bytes())
            .expect("the counter of an event that happens once can't overflow");
    }

    /// Waits until `fd` is ready for `what`, or has an error, or the event has happened. Returns
    /// whether the event has.
    fn or_ready(&self, fd: &OwnedFd, what: PollFlags) -> io::Result<bool> {
        let mut polled = [PollFd::new(fd, what), PollFd::new(&*self.0, PollFlags::IN)];
        loop {
            match poll(&mut polled, None) {
                Err(Errno::INTR) => {}
                outcome => {
                    outcome?;
                    return Ok(!polled[1].revents().is_empty());
                }
            }
        }
    }
}

/// Lets reads and writes of this open file fail rather than wait.
fn never_wait(fd: &OwnedFd) -> io::Result<()> {
    Ok(fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?)
}
