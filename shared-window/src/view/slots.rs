// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The views of a mount: which may be opened, and which are open.
//!
//! ```text
//!              prepare               open, backed
//!     free ──────────────▶ prepared ──────────────▶ open
//!      ▲                      │ prepare (others)      │ release
//!      └──────────────────────┴───────────────────────┘
//! ```
//!
//! A slot is a name in the mount and its inode. A client's threads open views at the same time,
//! since an open takes as long as the file's own file system likes. So many slots may be prepared,
//! and beyond [`MOST_PREPARED`] the oldest is dropped. Each slot can be opened once. A process that
//! is sent a view (such as a VMM) could try to open it again by `/proc/self/fd` with more access
//! than it was given, and finds no prepared slot. Slots are reused, so the kernel's cache of names
//! stays as small as the largest number of views that were open at once.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;

use crate::units::Access;

/// The most slots that are prepared at once. Each holds a descriptor. A well-behaved client has as
/// many prepared slots as it has threads that open files.
const MOST_PREPARED: usize = 256;

/// The number of a slot; also its name in the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u64);

/// A file that waits to be opened as a view.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) file: OwnedFd,
    pub(super) access: Access,
}

/// The slots of one mount; `B` keeps an open view backed.
#[derive(Debug)]
pub(super) struct Slots<B> {
    prepared: VecDeque<(Slot, Prepared)>,
    open: HashMap<Slot, B>,
    free: Vec<Slot>,
    next: u64,
}

impl<B> Slots<B> {
    pub(super) fn new() -> Self {
        Self {
            prepared: VecDeque::new(),
            open: HashMap::new(),
            free: Vec::new(),
            next: 0,
        }
    }

    /// Makes `prepared` a view that can be opened. If too many are prepared, drops the oldest.
    pub(super) fn prepare(&mut self, prepared: Prepared) -> Slot {
        if self.prepared.len() == MOST_PREPARED
            && let Some((unopened, _)) = self.prepared.pop_front()
        {
            self.free.push(unopened);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = Slot(self.next);
            self.next += 1;
            slot
        });
        self.prepared.push_back((slot, prepared));
        slot
    }

    /// Whether the slot has ever been used, so that its name is valid.
    pub(super) fn is_known(&self, slot: Slot) -> bool {
        slot.0 < self.next
    }

    /// Takes the file that is prepared in `slot` for `access`; `None` if there is none.
    pub(super) fn take_prepared(&mut self, slot: Slot, access: Access) -> Option<Prepared> {
        let wanted = |(it, prepared): &(Slot, Prepared)| *it == slot && prepared.access == access;
        let at = self.prepared.iter().position(wanted)?;
        let (_, prepared) = self.prepared.remove(at)?;
        Some(prepared)
    }

    /// Records that the slot is open, backed by `backing`.
    pub(super) fn opened(&mut self, slot: Slot, backing: B) -> &B {
        self.open.entry(slot).insert_entry(backing).into_mut()
    }

    /// The backing of an open slot.
    pub(super) fn open(&mut self, slot: Slot) -> Option<&mut B> {
        self.open.get_mut(&slot)
    }

    /// Frees a slot whose opening failed after [`Slots::take_prepared`].
    pub(super) fn not_opened(&mut self, slot: Slot) {
        self.free.push(slot);
    }

    /// Frees an open slot and returns its backing.
    pub(super) fn released(&mut self, slot: Slot) -> Option<B> {
        let backing = self.open.remove(&slot)?;
        self.free.push(slot);
        Some(backing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(access: Access) -> Prepared {
        Prepared {
            file: tempfile::tempfile().unwrap().into(),
            access,
        }
    }

    #[test]
    fn a_prepared_view_opens_once_and_as_prepared() {
        let mut slots = Slots::<()>::new();
        let slot = slots.prepare(prepared(Access::ReadOnly));
        assert!(slots.take_prepared(Slot(9), Access::ReadOnly).is_none());
        assert!(slots.take_prepared(slot, Access::ReadWrite).is_none());
        assert!(slots.take_prepared(slot, Access::ReadOnly).is_some());
        assert!(slots.take_prepared(slot, Access::ReadOnly).is_none());
    }

    #[test]
    fn several_are_prepared_and_the_oldest_goes() {
        let mut slots = Slots::<()>::new();
        let [first, second] = [(); 2].map(|()| slots.prepare(prepared(Access::ReadWrite)));
        assert_ne!(first, second);
        assert!(slots.take_prepared(second, Access::ReadWrite).is_some());
        for _ in 0..MOST_PREPARED - 1 {
            assert_ne!(slots.prepare(prepared(Access::ReadWrite)), first);
        }
        let newest = slots.prepare(prepared(Access::ReadOnly));
        assert_eq!(newest, first, "its place is the newest's");
        assert!(slots.take_prepared(first, Access::ReadWrite).is_none());
        assert!(slots.take_prepared(newest, Access::ReadOnly).is_some());
    }

    #[test]
    fn slots_are_used_again_but_never_twice_at_once() {
        let mut slots = Slots::new();
        let first = slots.prepare(prepared(Access::ReadWrite));
        slots.take_prepared(first, Access::ReadWrite).unwrap();
        slots.opened(first, "first");
        let second = slots.prepare(prepared(Access::ReadWrite));
        assert_ne!(first, second);
        slots.take_prepared(second, Access::ReadWrite).unwrap();
        slots.not_opened(second);

        assert_eq!(slots.released(first), Some("first"));
        assert_eq!(slots.released(first), None);
        let mut reused = [slots.prepare(prepared(Access::ReadWrite)), Slot(u64::MAX)];
        slots.take_prepared(reused[0], Access::ReadWrite).unwrap();
        reused[1] = slots.prepare(prepared(Access::ReadWrite));
        reused.sort();
        assert_eq!(reused, [first, second]);
        assert!(slots.is_known(second) && !slots.is_known(Slot(2)));
    }
}
