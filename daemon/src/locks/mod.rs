// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Locks of the guest that are the host's (`--locks host`).
//!
//! virtiofsd's file system takes no locks: a guest's locks stay in its kernel. Here INIT offers
//! POSIX_LOCKS and FLOCK_LOCKS, and the guest's GETLK, SETLK and SETLKW are served by the host's
//! kernel, so that host, other guests and network file systems see them.
//!
//! ```text
//!   flock(2) of the guest             flock(2) on the handle's own file description
//!   POSIX and OFD locks of the guest  OFD locks on a description for each (file, owner), made at the
//!                                     first lock, closed with the last
//! ```
//!
//! An owner of byte ranges is a number that the guest's kernel makes up for a process, or for a file
//! description (OFD locks). One owner's locks merge, split and never exclude each other, since they
//! are one description's on the host.
//!
//! | event | what goes |
//! |---|---|
//! | FLUSH by an owner: it has closed a descriptor | its locks on the file (POSIX) |
//! | RELEASE of a handle | its flock, the locks whose owner first asked by it (OFD), its waits |
//! | INIT, DESTROY, reset, the VMM's end | all |
//!
//! A SETLKW that has to wait gets a thread of its own ([`waiter`]), so that it holds no thread that
//! others need, and leaves its ring like a window operation: the ring can be stopped, and goes on
//! with the request in flight ([`crate::ring::quiesce`]). The wait ends by the lock, by INTERRUPT
//! (EINTR), by RELEASE of its handle (EINTR), or is dropped with the ring's epoch. Owners of this
//! guest that would wait for each other get EDEADLK ([`deadlock`]).
//!
//! What a guest may take is bounded ([`table`]); beyond it gets ENOLCK.
//!
//! Lock order: the table's lock before a waiter's; a waiter is cancelled without the table's lock.

mod ask;
mod deadlock;
mod host;
mod range;
mod setting;
mod table;
mod waiter;
mod waiting;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use virtiofsd::filesystem::FileSystem;

use ask::Scope;
pub(crate) use ask::{Ask, found};
pub(crate) use deadlock::Owner;
use range::Lock;
pub(crate) use setting::Outcome;
pub(crate) use table::MOST_FILES;
use table::{Table, Wait};
use waiter::Waiter;
pub(crate) use waiting::Waiting;

use crate::fs::{NodeId, with_handle};
use crate::log::LogLimit;
use crate::ring::fatal_error::FatalErrorLatch;

/// What a thread for one wait is given to do.
type Job = Box<dyn FnOnce() + Send>;

/// How long threads that wait may take to leave the kernel. They need microseconds, unless a file
/// server does not answer; then they are left behind, without a lock.
const LEAVE: Duration = Duration::from_secs(1);

/// See the module's documentation. One for each device.
pub(crate) struct HostLocks {
    table: Mutex<Table>,
    /// [`Table::used`], to be read without the table's lock.
    used: AtomicUsize,
    fatal_error: Arc<FatalErrorLatch>,
    full: LogLimit,
}

impl HostLocks {
    /// A panic in a thread that waits ends the session by `fatal_error`.
    pub(crate) fn new(fatal_error: Arc<FatalErrorLatch>) -> Self {
        waiter::prepare();
        Self {
            table: Mutex::default(),
            used: AtomicUsize::new(0),
            fatal_error,
            full: LogLimit::default(),
        }
    }

    /// How many owners, handles and requests hold or want a lock.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Acquire)
    }

    fn with<T>(&self, step: impl FnOnce(&mut Table) -> T) -> T {
        let mut table = self.table.lock();
        let result = step(&mut table);
        self.used.store(table.used(), Ordering::Release);
        result
    }

    /// GETLK: a lock that keeps the owner from the range. Its process is known if it is the guest's.
    ///
    /// # Errors
    /// EBADF if there is no such handle; EINVAL for flock(2), which has no such question; the host's.
    pub(crate) fn find<F: FileSystem>(&self, fs: &F, ask: &Ask) -> io::Result<Option<Lock>> {
        let (Scope::Bytes(range), Some(kind)) = (ask.scope, ask.kind) else {
            return Err(errno(libc::EINVAL));
        };
        let claim = ask.claim(range, kind);
        with_handle(fs, ask.context, ask.node, ask.handle, |handle| {
            self.with(|table| {
                if let Some(lock) = table.conflict(&claim) {
                    return Ok(Some(lock));
                }
                match table.entry(ask.node, ask.owner) {
                    Some(entry) => host::conflict(entry.file.as_fd(), range, kind),
                    None => host::conflict(handle, range, kind),
                }
            })
        })
    }

    /// INTERRUPT of a request.
    pub(crate) fn interrupt(&self, unique: u64) {
        if let Some(waiter) = self.with(|table| table.interrupted(unique)) {
            waiter.cancel(Instant::now() + LEAVE);
        }
    }

    /// FLUSH: the owner has closed a descriptor of the file.
    pub(crate) fn flush(&self, node: NodeId, owner: Owner) {
        if self.used() > 0 {
            self.with(|table| table.drop_owner(node, owner));
        }
    }

    /// RELEASE: the handle is gone.
    pub(crate) fn release(&self, node: NodeId, handle: u64) {
        if self.used() > 0 {
            self.end_waits(|wait| wait.handle == handle);
            cancel(&self.with(|table| table.drop_handle(node, handle)));
        }
    }

    /// The guest is gone, or starts anew.
    pub(crate) fn clear(&self) {
        self.end_waits(|_| true);
        cancel(&self.with(Table::clear));
    }

    /// Ends these waits. To be called before locks are given up: a thread in the kernel would be granted
    /// them, and hold them until it learns that its wait is over.
    fn end_waits(&self, which: impl Fn(&Wait) -> bool) {
        cancel(&self.with(|table| table.take_waits(which)));
    }
}

fn cancel(waiters: &[Arc<Waiter>]) {
    // Marked first, so that none gets a lock that another gives up.
    waiters.iter().for_each(|waiter| waiter.mark());
    let deadline = Instant::now() + LEAVE;
    waiters.iter().for_each(|waiter| waiter.cancel(deadline));
}

fn errno(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

#[cfg(test)]
mod tests;
