// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the guest's owners hold and wait for, beside what the host's kernel knows.
//!
//! The host's kernel decides who gets a lock. The table follows it, to tell the guest which of its
//! processes holds a lock, to find deadlocks, and to bound what a guest may take.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::deadlock::{Claim, Owner, would_deadlock};
use super::host::{self, OpenFor, Patience};
use super::range::{Held, Kind, Lock, Range};
use super::waiter::Waiter;
use crate::fs::NodeId;

/// The most pairs of a file and an owner that hold or want byte ranges; each has a descriptor.
const MOST_OWNERS: usize = 1024;
/// The most locks of byte ranges.
const MOST_LOCKS: usize = 8192;
/// Descriptors that a guest's locks may take: one for each owner, and one for each wait for a flock.
pub(crate) const MOST_FILES: usize = MOST_OWNERS + MOST_WAITS;
/// A lock that is set or taken away can split another in two.
const GROWTH: usize = 2;
/// The most waits; each has a thread.
const MOST_WAITS: usize = 256;
/// How many interrupts are remembered whose requests don't wait, or not yet.
const EARLY: usize = 64;

/// One owner's locks on one file. The descriptor's description owns them on the host.
pub(super) struct Entry {
    pub(super) serial: u64,
    pub(super) file: Arc<OwnedFd>,
    pub(super) open_for: OpenFor,
    /// The handle by which the owner first asked. An OFD lock's owner has no other.
    pub(super) handle: u64,
    pub(super) held: Held,
    /// Waits with this descriptor.
    pub(super) waiting: usize,
}

impl Entry {
    /// Replaces a descriptor that is open for reading only, and so holds only shared locks. No other
    /// owner can get between, since shared locks of two descriptions don't exclude each other.
    pub(super) fn reopen(&mut self, file: OwnedFd, open_for: OpenFor) -> io::Result<()> {
        for lock in self.held.iter() {
            host::set(&file, lock.range, Some(lock.kind), Patience::None)?;
        }
        self.unlock();
        self.file = Arc::new(file);
        self.open_for = open_for;
        Ok(())
    }

    /// Unlocks all on the host: a thread that waits may keep the descriptor open.
    pub(super) fn unlock(&self) {
        if let Err(error) = host::set(&self.file, Range::FILE, None, Patience::None) {
            log::debug!("cannot unlock a file: {error}");
        }
    }
}

/// A request that waits.
pub(super) struct Wait {
    pub(super) unique: u64,
    pub(super) handle: u64,
    /// For byte ranges; flock(2) takes no part in deadlocks, as in Linux.
    pub(super) claim: Option<Claim>,
    pub(super) waiter: Arc<Waiter>,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Table {
    files: HashMap<NodeId, HashMap<Owner, Entry>>,
    owners: usize,
    locks: usize,
    /// Handles whose descriptions hold a lock of flock(2).
    pub(super) flocks: HashSet<u64>,
    waits: HashMap<u64, Wait>,
    early: VecDeque<u64>,
    serial: u64,
}

impl Table {
    /// How many owners, handles and requests hold or want a lock.
    pub(super) fn used(&self) -> usize {
        self.owners + self.flocks.len() + self.waits.len()
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn entry(&mut self, node: NodeId, owner: Owner) -> Option<&mut Entry> {
        self.files.get_mut(&node)?.get_mut(&owner)
    }

    /// Adds an owner.
    ///
    /// # Errors
    /// ENOLCK if there are too many.
    pub(super) fn add(
        &mut self,
        node: NodeId,
        owner: Owner,
        handle: u64,
        file: OwnedFd,
        open_for: OpenFor,
    ) -> io::Result<()> {
        if self.owners == MOST_OWNERS {
            return Err(no_lock());
        }
        let entry = Entry {
            serial: self.next_serial(),
            file: Arc::new(file),
            open_for,
            handle,
            held: Held::default(),
            waiting: 0,
        };
        self.files.entry(node).or_default().insert(owner, entry);
        self.owners += 1;
        Ok(())
    }

    /// Whether there is room for one more lock, with those that are waited for.
    pub(super) fn has_room(&self) -> bool {
        self.locks + GROWTH * (self.waits.len() + 1) <= MOST_LOCKS
    }

    /// Records what the host has granted.
    pub(super) fn record(
        &mut self,
        (node, owner): (NodeId, Owner),
        range: Range,
        kind: Option<Kind>,
        pid: u32,
    ) {
        let Some(entry) = self
            .files
            .get_mut(&node)
            .and_then(|file| file.get_mut(&owner))
        else {
            return;
        };
        let before = entry.held.len();
        entry.held.set(range, kind, pid);
        self.locks = self.locks - before + entry.held.len();
    }

    /// The lock of another owner that keeps this one from the range.
    pub(super) fn conflict(&self, claim: &Claim) -> Option<Lock> {
        (self.others(claim)).find_map(|(_, entry)| entry.held.conflict(claim.range, claim.kind))
    }

    fn others(&self, claim: &Claim) -> impl Iterator<Item = (&Owner, &Entry)> {
        let asker = claim.owner;
        let file = self.files.get(&claim.node);
        file.into_iter()
            .flatten()
            .filter(move |(owner, _)| **owner != asker)
    }

    pub(super) fn would_deadlock(&self, claim: &Claim) -> bool {
        let waits: Vec<_> = self.waits.values().filter_map(|wait| wait.claim).collect();
        would_deadlock(claim, &waits, |claim| {
            self.others(claim)
                .filter(|(_, entry)| entry.held.conflict(claim.range, claim.kind).is_some())
                .map(|(owner, _)| *owner)
                .collect::<Vec<_>>()
        })
    }

    /// Whether a request may wait, if no more than `most` do.
    pub(super) fn may_wait(&self, most: usize) -> bool {
        self.waits.len() < most.min(MOST_WAITS)
    }

    /// Adds a request that waits; returns its number.
    pub(super) fn begin_wait(&mut self, wait: Wait) -> u64 {
        let id = self.next_serial();
        self.waits.insert(id, wait);
        id
    }

    /// Whether the wait has not been given up.
    pub(super) fn waits(&self, id: u64) -> bool {
        self.waits.contains_key(&id)
    }

    pub(super) fn end_wait(&mut self, id: u64) {
        self.waits.remove(&id);
    }

    /// The waiter of an interrupted request. If there is none, the interrupt may have come first, so
    /// it is remembered.
    pub(super) fn interrupted(&mut self, unique: u64) -> Option<Arc<Waiter>> {
        let wait = self.waits.values().find(|wait| wait.unique == unique);
        if let Some(wait) = wait {
            return Some(Arc::clone(&wait.waiter));
        }
        if self.early.len() == EARLY {
            self.early.pop_front();
        }
        self.early.push_back(unique);
        None
    }

    /// Whether an interrupt of this request came before it waits.
    pub(super) fn was_interrupted(&mut self, unique: u64) -> bool {
        let at = self.early.iter().position(|early| *early == unique);
        at.and_then(|at| self.early.remove(at)).is_some()
    }

    /// Drops an owner that neither holds nor wants anything.
    pub(super) fn tidy(&mut self, node: NodeId, owner: Owner) {
        let idle = |entry: &mut Entry| entry.held.is_empty() && entry.waiting == 0;
        if self.entry(node, owner).is_some_and(idle) {
            self.remove(node, owner);
        }
    }

    fn remove(&mut self, node: NodeId, owner: Owner) -> Option<Entry> {
        let file = self.files.get_mut(&node)?;
        let entry = file.remove(&owner)?;
        if file.is_empty() {
            self.files.remove(&node);
        }
        self.owners -= 1;
        self.locks -= entry.held.len();
        Some(entry)
    }

    /// An owner has closed a descriptor of the file: all its locks on the file go. What waits goes on
    /// waiting, as in Linux.
    pub(super) fn drop_owner(&mut self, node: NodeId, owner: Owner) {
        let Some(entry) = self.entry(node, owner) else {
            return;
        };
        entry.unlock();
        let held = entry.held.len();
        entry.held.clear();
        self.locks -= held;
        self.tidy(node, owner);
    }

    /// A handle is gone: so are the locks that were asked for by it. Returns the waits to cancel.
    pub(super) fn drop_handle(&mut self, node: NodeId, handle: u64) -> Vec<Arc<Waiter>> {
        self.flocks.remove(&handle);
        let file = self.files.get(&node).into_iter().flatten();
        let gone: Vec<_> = file
            .filter(|(_, entry)| entry.handle == handle)
            .map(|(owner, _)| *owner)
            .collect();
        for owner in gone {
            if let Some(entry) = self.remove(node, owner) {
                entry.unlock();
            }
        }
        self.take_waits(|wait| wait.handle == handle)
    }

    /// Drops everything, for a guest that is gone or starts anew. Returns the waits to cancel.
    pub(super) fn clear(&mut self) -> Vec<Arc<Waiter>> {
        for entry in self.files.values().flat_map(HashMap::values) {
            entry.unlock();
        }
        self.files.clear();
        self.flocks.clear();
        self.early.clear();
        (self.owners, self.locks) = (0, 0);
        self.take_waits(|_| true)
    }

    /// Takes these waits, to be cancelled.
    pub(super) fn take_waits(&mut self, which: impl Fn(&Wait) -> bool) -> Vec<Arc<Waiter>> {
        let taken = self.waits.extract_if(|_, wait| which(wait));
        taken.map(|(_, wait)| wait.waiter).collect()
    }
}

/// ENOLCK: a limit of this daemon is reached.
pub(super) fn no_lock() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOLCK)
}
