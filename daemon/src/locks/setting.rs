// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! SETLK and SETLKW, up to where they have to wait.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use virtiofsd::filesystem::FileSystem;

use super::ask::{Ask, Scope};
use super::deadlock::Claim;
use super::host::{self, OpenFor, Patience};
use super::range::Range;
use super::table::{Table, Wait, no_lock};
use super::waiter::{self, Waiter};
use super::waiting::Waiting;
use super::{HostLocks, errno};
use crate::fs::{with_file, with_handle};

/// The result of a request to lock.
pub(crate) enum Outcome {
    /// The host has granted it.
    Done,
    /// It has to wait.
    Waits(Waiting),
}

impl HostLocks {
    /// SETLK and SETLKW. `most` requests may wait, this one included.
    ///
    /// # Errors
    /// EAGAIN if another owner holds the lock and `ask` does not wait; EDEADLK; EBADF if the handle is
    /// none, or not open for such a lock; ENOLCK beyond the limits; EINTR if an INTERRUPT came before;
    /// the host's.
    pub(crate) fn set<F: FileSystem>(&self, fs: &F, ask: &Ask, most: usize) -> io::Result<Outcome> {
        let result = match ask.scope {
            Scope::File => self.set_flock(fs, ask, most),
            Scope::Bytes(range) => self.set_range(fs, ask, range, most),
        };
        result.inspect_err(|error| {
            if error.raw_os_error() == Some(libc::ENOLCK) {
                self.full.warn(
                    "a lock is refused, since the guest holds or waits for as many as --locks=host \
                     allows (limits.md)",
                );
            }
        })
    }

    fn set_flock<F: FileSystem>(&self, fs: &F, ask: &Ask, most: usize) -> io::Result<Outcome> {
        let file = with_handle(fs, ask.context, ask.node, ask.handle, |file| {
            file.try_clone_to_owned()
        })?;
        self.with(|table| {
            let result = host::flock(&file, ask.kind, Patience::None);
            if result.is_ok() && ask.kind.is_some() {
                table.flocks.insert(ask.handle);
            } else {
                // flock(2) gives up a lock of another kind first, also where the new one is refused.
                table.flocks.remove(&ask.handle);
            }
            match result {
                Ok(()) => Ok(Outcome::Done),
                Err(error) if ask.waits && is_again(&error) => {
                    self.begin(table, ask, None, Arc::new(file), most)
                }
                Err(error) => Err(error),
            }
        })
    }

    fn set_range<F: FileSystem>(
        &self,
        fs: &F,
        ask: &Ask,
        range: Range,
        most: usize,
    ) -> io::Result<Outcome> {
        let open_for = with_handle(fs, ask.context, ask.node, ask.handle, OpenFor::of)?;
        if !open_for.allows(ask.kind) {
            return Err(errno(libc::EBADF));
        }
        let mut opened = None;
        loop {
            let outcome = self.with(|table| {
                if !is_ready(table, ask) {
                    match opened.take() {
                        Some((file, open_for)) => lend(table, ask, file, open_for)?,
                        None => return Ok(None),
                    }
                }
                let result = self.set_ready(table, ask, range, most);
                table.tidy(ask.node, ask.owner);
                result.map(Some)
            })?;
            if let Some(outcome) = outcome {
                return Ok(outcome);
            }
            // Without the table's lock, since an open can wait for a lease or a server.
            opened = Some(open(fs, ask, open_for)?);
        }
    }

    /// Sets a range whose owner has a descriptor that allows it, if it has to have one.
    fn set_ready(
        &self,
        table: &mut Table,
        ask: &Ask,
        range: Range,
        most: usize,
    ) -> io::Result<Outcome> {
        let has_room = table.has_room();
        let Some(entry) = table.entry(ask.node, ask.owner) else {
            // Nothing to unlock.
            return Ok(Outcome::Done);
        };
        if !has_room && (ask.kind.is_some() || entry.held.is_split_by(range)) {
            return Err(no_lock());
        }
        let file = Arc::clone(&entry.file);
        match host::set(&file, range, ask.kind, Patience::None) {
            Ok(()) => table.record((ask.node, ask.owner), range, ask.kind, ask.pid),
            Err(error) if ask.waits && is_again(&error) => {
                let claim = ask.kind.map(|kind| ask.claim(range, kind));
                return self.begin(table, ask, claim, file, most);
            }
            Err(error) => return Err(error),
        }
        Ok(Outcome::Done)
    }

    /// Begins a wait.
    fn begin(
        &self,
        table: &mut Table,
        ask: &Ask,
        claim: Option<Claim>,
        file: Arc<OwnedFd>,
        most: usize,
    ) -> io::Result<Outcome> {
        if table.was_interrupted(ask.unique) {
            return Err(errno(libc::EINTR));
        }
        if claim.is_some_and(|claim| table.would_deadlock(&claim)) {
            return Err(errno(libc::EDEADLK));
        }
        if !table.may_wait(most) {
            return Err(no_lock());
        }
        let thread = waiter::start().map_err(|_| no_lock())?;
        let waiter = Arc::<Waiter>::default();
        let id = table.begin_wait(Wait {
            unique: ask.unique,
            handle: ask.handle,
            claim,
            waiter: Arc::clone(&waiter),
        });
        let entry = claim.and_then(|_| table.entry(ask.node, ask.owner));
        let serial = entry.map(|entry| {
            entry.waiting += 1;
            entry.serial
        });
        Ok(Outcome::Waits(Waiting {
            id,
            serial,
            file,
            waiter,
            thread,
        }))
    }
}

/// Whether the owner has the descriptor that it needs.
fn is_ready(table: &mut Table, ask: &Ask) -> bool {
    match table.entry(ask.node, ask.owner) {
        Some(entry) => entry.open_for.allows(ask.kind),
        None => ask.kind.is_none(),
    }
}

/// Gives the owner a descriptor, or a better one.
fn lend(table: &mut Table, ask: &Ask, file: OwnedFd, open_for: OpenFor) -> io::Result<()> {
    match table.entry(ask.node, ask.owner) {
        Some(entry) => entry.reopen(file, open_for),
        None => table.add(ask.node, ask.owner, ask.handle, file, open_for),
    }
}

/// A description of the file for one owner. If the owner may write, it is open for both, so that the
/// owner's locks of both kinds can be its.
pub(super) fn open<F: FileSystem>(
    fs: &F,
    ask: &Ask,
    allowed: OpenFor,
) -> io::Result<(OwnedFd, OpenFor)> {
    let flags = match allowed.writing {
        true => libc::O_RDWR,
        false => libc::O_RDONLY,
    };
    with_file(fs, ask.context, ask.node, flags, |file| {
        Ok((file.try_clone_to_owned()?, OpenFor::of(file)?))
    })
}

/// Whether another owner holds the lock.
pub(super) fn is_again(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}
