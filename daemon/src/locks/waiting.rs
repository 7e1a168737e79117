// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From the beginning of a wait to its result.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use super::ask::{Ask, Scope};
use super::host::{self, Patience};
use super::range::Range;
use super::setting::is_again;
use super::table::Table;
use super::waiter::{Ended, Waiter};
use super::{HostLocks, Job, errno};

/// A request that has to wait, with the thread that waits for it.
pub(crate) struct Waiting {
    pub(super) id: u64,
    /// The number of the owner's entry; none for flock(2).
    pub(super) serial: Option<u64>,
    pub(super) file: Arc<OwnedFd>,
    pub(super) waiter: Arc<Waiter>,
    pub(super) thread: Sender<Job>,
}

impl Waiting {
    /// Waits on the thread, and passes the result to `done` there: EINTR if the wait was ended.
    pub(crate) fn run(
        mut self,
        locks: &Arc<HostLocks>,
        ask: Ask,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) {
        let (locks, thread) = (Arc::clone(locks), self.thread.clone());
        let job = move || {
            let fatal_error = Arc::clone(&locks.fatal_error);
            fatal_error.guard(|| {
                let result = locks.wait(&mut self, &ask);
                // Before the guest hears of it: the descriptor would keep a flock alive that the guest
                // has given up by then.
                drop(self);
                done(result);
                Ok(())
            });
        };
        // The thread ends only after its job.
        let sent = thread.send(Box::new(job));
        debug_assert!(sent.is_ok(), "the thread waits for its job");
    }

    fn call(&self, ask: &Ask, patience: Patience) -> io::Result<()> {
        match ask.scope {
            Scope::File => host::flock(&self.file, ask.kind, patience),
            Scope::Bytes(range) => host::set(&self.file, range, ask.kind, patience),
        }
    }

    /// Unlocks what the host has granted after the wait was ended.
    fn give_back(&self, ask: &Ask) {
        let unlocked = match ask.scope {
            Scope::File => host::flock(&self.file, None, Patience::None),
            Scope::Bytes(_) => host::set(&self.file, Range::FILE, None, Patience::None),
        };
        if let Err(error) = unlocked {
            log::debug!("cannot unlock a file: {error}");
        }
    }
}

impl HostLocks {
    fn wait(&self, waiting: &mut Waiting, ask: &Ask) -> io::Result<()> {
        let result = loop {
            let waiter = Arc::clone(&waiting.waiter);
            match waiter.wait(|| waiting.call(ask, Patience::UntilSignal)) {
                Ok(()) => {
                    if let Some(result) = self.with(|table| settle(table, waiting, ask)) {
                        break result;
                    }
                }
                Err(Ended::Disturbed) => {}
                Err(Ended::Cancelled) => break Err(errno(libc::EINTR)),
                Err(Ended::Failed(error)) => break Err(error),
            }
        };
        self.with(|table| {
            table.end_wait(waiting.id);
            if let Some(entry) = table.entry(ask.node, ask.owner)
                && Some(entry.serial) == waiting.serial
            {
                entry.waiting -= 1;
                table.tidy(ask.node, ask.owner);
            }
        });
        result
    }

    /// Takes back a lock of which the guest will not hear.
    pub(crate) fn undo(&self, ask: &Ask) {
        match ask.scope {
            // INIT, DESTROY or the end closes the handle.
            Scope::File => {}
            Scope::Bytes(_) => self.flush(ask.node, ask.owner),
        }
    }
}

/// Records a lock that the host has granted. `None`: it is not held any more, wait again.
fn settle(table: &mut Table, waiting: &mut Waiting, ask: &Ask) -> Option<io::Result<()>> {
    if !table.waits(waiting.id) {
        waiting.give_back(ask);
        return Some(Err(errno(libc::EINTR)));
    }
    let Scope::Bytes(range) = ask.scope else {
        table.flocks.insert(ask.handle);
        return Some(Ok(()));
    };
    let entry =
        (table.entry(ask.node, ask.owner)).filter(|entry| Some(entry.serial) == waiting.serial);
    let Some(entry) = entry else {
        waiting.give_back(ask);
        return Some(Err(errno(libc::EINTR)));
    };
    if !Arc::ptr_eq(&entry.file, &waiting.file) {
        // The owner has got another description meanwhile, which has all its locks.
        waiting.give_back(ask);
        waiting.file = Arc::clone(&entry.file);
        return None;
    }
    // Another thread of the owner may have unlocked the range since, before the table knew of it.
    match waiting.call(ask, Patience::None) {
        Ok(()) => table.record((ask.node, ask.owner), range, ask.kind, ask.pid),
        Err(error) if is_again(&error) => return None,
        Err(error) => return Some(Err(error)),
    }
    Some(Ok(()))
}
