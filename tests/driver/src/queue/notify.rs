// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Kicks and interrupts.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use vmm_sys_util::eventfd::EventFd;

use super::QueueError;
use crate::units::QueueIndex;

/// The event descriptors of a queue, and the connection whose end stops all waiting.
#[derive(Debug)]
pub struct Notifier {
    kick: EventFd,
    call: EventFd,
    /// All clones share it.
    connection: Arc<RwLock<Arc<OwnedFd>>>,
    queue: QueueIndex,
}

impl Notifier {
    pub(crate) fn new(queue: QueueIndex, connection: Arc<OwnedFd>) -> io::Result<Self> {
        Ok(Self {
            kick: EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?,
            call: EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?,
            connection: Arc::new(RwLock::new(connection)),
            queue,
        })
    }

    /// Replaces the connection: the device is behind another one from now on.
    pub(crate) fn reconnect(&self, connection: &Arc<OwnedFd>) {
        *self.connection.write() = Arc::clone(connection);
    }

    /// Duplicates the descriptors, for the control side.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            kick: self.kick.try_clone()?,
            call: self.call.try_clone()?,
            connection: Arc::clone(&self.connection),
            queue: self.queue,
        })
    }

    /// The driver writes to it after it has made requests available.
    pub fn kick(&self) -> &EventFd {
        &self.kick
    }

    /// The device writes to it after it has returned requests.
    pub fn call(&self) -> &EventFd {
        &self.call
    }

    pub(super) fn queue(&self) -> QueueIndex {
        self.queue
    }

    pub(super) fn send_kick(&self) -> Result<(), QueueError> {
        match self.kick.write(1) {
            // A full counter means that the device has not seen an earlier kick yet.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(failed("kick")(error)),
            _ => Ok(()),
        }
    }

    /// Sleeps until the device interrupts, and clears the interrupt.
    pub(super) fn wait(&self, patience: Duration) -> Result<(), QueueError> {
        let call = borrow(&self.call);
        let connection = Arc::clone(&self.connection.read());
        let mut fds = [
            PollFd::from_borrowed_fd(call, PollFlags::IN),
            PollFd::new(&connection, PollFlags::RDHUP),
        ];
        let limit = Timespec::try_from(patience).ok();
        match poll(&mut fds, limit.as_ref()) {
            Ok(0) => return Err(self.timed_out(patience)),
            Err(error) if error != rustix::io::Errno::INTR => {
                return Err(failed("wait for an interrupt")(error.into()));
            }
            _ => {}
        }
        if !fds[0].revents().is_empty() {
            // Another reader may have cleared the counter first.
            let _ = self.call.read();
        } else if !fds[1].revents().is_empty() {
            return Err(QueueError::Disconnected { queue: self.queue });
        }
        Ok(())
    }

    /// Fails if the daemon has disconnected.
    pub(super) fn check_connection(&self) -> Result<(), QueueError> {
        let connection = Arc::clone(&self.connection.read());
        let mut fds = [PollFd::new(&connection, PollFlags::RDHUP)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(0) | Err(_) => Ok(()),
            Ok(_) => Err(QueueError::Disconnected { queue: self.queue }),
        }
    }

    pub(super) fn timed_out(&self, patience: Duration) -> QueueError {
        let queue = self.queue;
        QueueError::TimedOut { patience, queue }
    }
}

impl AsFd for Notifier {
    /// The call descriptor, for programs that wait for several queues.
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.call)
    }
}

fn borrow(event: &EventFd) -> BorrowedFd<'_> {
    // SAFETY: the event descriptor stays open while it is borrowed.
    unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }
}

fn failed(what: &'static str) -> impl Fn(io::Error) -> QueueError {
    move |source| QueueError::Event { what, source }
}
