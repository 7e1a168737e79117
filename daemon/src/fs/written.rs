// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files that a guest may have stored into, so that their mtime has to be set.
//!
//! A store through the window sends no request, and the host's file system updates mtime at the
//! first store after each writeback at best. The daemon only knows that the guest asked for a range
//! *for writing*; later stores into the range send no further request. So a file counts as written
//! from that SETUPMAPPING on, for as long as one of its ranges is mapped for writing. Its mtime is
//! set to now at FLUSH, FSYNC and RELEASE of a handle that is open for writing. Two rules keep that
//! from doing harm:
//!
//! * A time that the guest has set (`cp -p`, tar and rsync, before or after they close the file)
//!   stays: a handle that was opened earlier does not change it, unless another range is mapped for
//!   writing.
//! * RELEASE comes some time after the FLUSH of close(2). In between a program may have read the
//!   time. So RELEASE sets mtime only if the last update is older than [`A_MOMENT`], which is so if
//!   a mapping outlived the descriptor.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::NodeId;

/// By how much mtime may lag behind the last store.
const A_MOMENT: Duration = Duration::from_secs(1);

/// What the guest does with a handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// FLUSH or FSYNC: the guest waits for the reply.
    Sync,
    /// RELEASE: sent at any time after the last close.
    Release,
}

/// The state of one file.
#[derive(Debug, Default)]
struct Stores {
    /// How many ranges are mapped for writing. An entry with 0 ranges stays while stores may exist
    /// that mtime does not show yet.
    ranges: usize,
    /// Set if the guest has set mtime: handles with smaller numbers were open at that time.
    set_before: Option<u64>,
    /// When mtime was last set to now.
    touched: Option<Instant>,
}

#[derive(Debug, Default)]
struct State {
    /// The length and the file of a range, by its offset in the window.
    ranges: BTreeMap<u64, (u64, NodeId)>,
    nodes: HashMap<NodeId, Stores>,
}

/// See the module's documentation. The lock is held only to read or change an entry.
#[derive(Debug, Default)]
pub struct Written {
    /// Whether there is any such file. Lets most requests skip the lock.
    any: AtomicBool,
    state: Mutex<State>,
}

impl Written {
    /// Records that a range of the window was mapped for writing.
    pub fn mapped(&self, node: NodeId, at: u64, len: u64) {
        let mut state = self.state.lock();
        state.unmap(at, len);
        state.ranges.insert(at, (len, node));
        let stores = state.nodes.entry(node).or_default();
        stores.ranges += 1;
        stores.set_before = None;
        self.any.store(true, Ordering::Release);
    }

    /// Records that a range of `len` bytes at offset `at` of the window was removed.
    pub fn unmapped(&self, at: u64, len: u64) {
        if self.is_any() {
            self.state.lock().unmap(at, len);
        }
    }

    /// Records that the guest sets the time of `node`. Handles from `next` on will be opened later.
    pub(super) fn set(&self, node: NodeId, next: u64) {
        if let Some(stores) = self.state.lock().nodes.get_mut(&node) {
            stores.set_before = Some(next);
        }
    }

    /// Whether anything is known of `node`.
    pub(super) fn knows(&self, node: NodeId) -> bool {
        self.is_any() && self.state.lock().nodes.contains_key(&node)
    }

    /// Whether mtime has to be set, provided that `handle` is open for writing.
    pub(super) fn is_due(&self, node: NodeId, handle: u64, event: Event) -> bool {
        if !self.is_any() {
            return false;
        }
        let state = self.state.lock();
        let Some(stores) = state.nodes.get(&node) else {
            return false;
        };
        let set_since = stores.set_before.is_some_and(|next| handle < next);
        let just_moved = stores.touched.is_some_and(|at| at.elapsed() < A_MOMENT);
        let too_early = event == Event::Release && just_moved;
        !(set_since || too_early)
    }

    /// Records that mtime was set.
    pub(super) fn moved(&self, node: NodeId) {
        let mut state = self.state.lock();
        if let Some(stores) = state.nodes.get_mut(&node) {
            stores.touched = Some(Instant::now());
            if stores.ranges == 0 {
                state.nodes.remove(&node);
            }
        }
    }

    /// Drops the entry of `node`, which the guest no longer holds, unless a range of it is mapped.
    pub(super) fn forget(&self, node: NodeId) {
        if !self.is_any() {
            return;
        }
        let mut state = self.state.lock();
        // A FORGET may drop only some of the guest's references.
        if state.nodes.get(&node).is_some_and(|it| it.ranges == 0) {
            state.nodes.remove(&node);
        }
    }

    /// Drops all entries, when the guest no longer holds anything.
    pub(super) fn clear(&self) {
        *self.state.lock() = State::default();
        self.any.store(false, Ordering::Release);
    }

    fn is_any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }
}

impl State {
    fn unmap(&mut self, at: u64, len: u64) {
        let end = at.saturating_add(len);
        let gone: Vec<_> = self
            .ranges
            .range(at..end)
            .map(|(at, (_, node))| (*at, *node))
            .collect();
        for (at, node) in gone {
            self.ranges.remove(&at);
            if let Some(stores) = self.nodes.get_mut(&node) {
                stores.ranges -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, NodeId, Written};

    const FILE: NodeId = NodeId(7);
    const RANGE: u64 = shared_window::LINUX_RANGE;

    fn mapped() -> Written {
        let written = Written::default();
        written.mapped(FILE, 0, RANGE);
        written
    }

    #[test]
    fn a_file_is_due_for_as_long_as_it_may_be_stored_into() {
        let written = mapped();
        assert!(!written.is_due(NodeId(8), 1, Event::Sync));
        for _ in 0..2 {
            assert!(written.is_due(FILE, 1, Event::Sync));
            written.moved(FILE);
        }
        written.unmapped(0, RANGE);
        assert!(written.is_due(FILE, 1, Event::Sync), "stores before");
        written.moved(FILE);
        assert!(!written.is_due(FILE, 1, Event::Sync) && !written.knows(FILE));
    }

    #[test]
    fn a_release_after_a_flush_moves_nothing() {
        let written = mapped();
        assert!(written.is_due(FILE, 1, Event::Release), "no flush before");
        written.moved(FILE);
        assert!(!written.is_due(FILE, 1, Event::Release));
    }

    #[test]
    fn a_time_that_was_set_outlives_the_handles_that_were_open() {
        let written = mapped();
        written.set(FILE, 5);
        for event in [Event::Sync, Event::Release] {
            assert!(!written.is_due(FILE, 4, event));
        }
        assert!(written.is_due(FILE, 6, Event::Sync), "opened later");
        written.mapped(FILE, RANGE, RANGE);
        assert!(written.is_due(FILE, 4, Event::Sync), "stored into later");
    }

    #[test]
    fn a_range_belongs_to_the_file_that_was_mapped_there_last() {
        let written = mapped();
        written.mapped(NodeId(8), 0, RANGE);
        written.moved(FILE);
        assert!(!written.knows(FILE) && written.knows(NodeId(8)));
        written.unmapped(0, u64::MAX);
        written.forget(NodeId(8));
        assert!(!written.knows(NodeId(8)));
        written.mapped(FILE, 0, RANGE);
        written.forget(FILE);
        assert!(written.knows(FILE), "it is mapped");
        written.clear();
        assert!(!written.knows(FILE));
    }
}
