// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The table of ranges of the window that are not free.
//!
//! Owned by the window, which locks the table for one look or one move and never during a call to
//! the VMM ([`LiveRanges`](crate::LiveRanges)). The table knows nothing of the VMM: it holds the
//! state of each range, and which moves are legal ([`RangeState`]).
//!
//! Invariant: no two ranges overlap, whatever their states.

mod state;

use std::collections::BTreeMap;
use std::time::Instant;

use crate::units::{Access, FileOffset, WindowOffset, WindowRange};
use crate::view::FileKey;

pub use state::RangeState;
pub(crate) use state::{IllegalTransition, RangeEvent};

/// The target of a mapping: a place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) file: FileKey,
    pub(crate) from: FileOffset,
}

/// The access of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// The most that the guest has declared.
    pub(crate) asked: Access,
    /// The access that the VMM was asked to allow.
    pub(crate) allow: Access,
}

/// A range that is not free. `H` holds the values that live as long as the mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry<H> {
    pub(crate) range: WindowRange,
    pub(crate) target: Target,
    pub(crate) access: Allowed,
    pub(crate) state: RangeState,
    /// When the VMM was asked to map it.
    pub(crate) since: Instant,
    pub(crate) hold: H,
}

/// All ranges that are not free.
#[derive(Debug)]
pub(crate) struct Table<H> {
    entries: BTreeMap<WindowOffset, Entry<H>>,
    counts: BTreeMap<RangeState, usize>,
}

impl<H> Table<H> {
    pub(crate) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// The entries that share a byte with `range`, in order.
    pub(crate) fn overlapping(&self, range: WindowRange) -> impl Iterator<Item = &Entry<H>> {
        // Only the last entry that starts before the range can reach into it.
        let before = self
            .entries
            .range(..range.start())
            .next_back()
            .map(|(_, entry)| entry);
        let within = self.entries.range(range.start()..range.end());
        before
            .into_iter()
            .chain(within.map(|(_, entry)| entry))
            .filter(move |entry| entry.range.overlaps(range))
    }

    /// The entry that has the byte at `at`.
    pub(crate) fn find(&self, at: WindowOffset) -> Option<&Entry<H>> {
        let (_, entry) = self.entries.range(..=at).next_back()?;
        (at < entry.range.end()).then_some(entry)
    }

    /// All entries in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<H>> {
        self.entries.values()
    }

    /// The number of entries, in any state.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many entries are in `state`. Does not walk the table.
    pub(crate) fn count(&self, state: RangeState) -> usize {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// Enters a range that is about to be mapped. It has to be free.
    pub(crate) fn start_mapping(
        &mut self,
        range: WindowRange,
        target: Target,
        access: Allowed,
        hold: H,
    ) {
        debug_assert!(
            self.overlapping(range).next().is_none(),
            "{range} is not free"
        );
        let state = RangeState::Mapping;
        *self.counts.entry(state).or_default() += 1;
        self.entries.insert(
            range.start(),
            Entry {
                range,
                target,
                access,
                state,
                since: Instant::now(),
                hold,
            },
        );
    }

    /// Records the access that the guest declares now for the range that starts at `at`. Returns
    /// whether that is more than before.
    pub(crate) fn upgrade(&mut self, at: WindowOffset, asked: Access) -> bool {
        match self.entries.get_mut(&at) {
            Some(entry) if asked > entry.access.asked => {
                entry.access.asked = asked;
                true
            }
            _ => false,
        }
    }

    /// Applies `event` to the range that starts at `at`. A range that is free afterwards leaves the
    /// table; its hold is returned, to be dropped without the table's lock.
    ///
    /// No effect if there is no such range: only the operation that found a range removes it.
    pub(crate) fn apply(
        &mut self,
        at: WindowOffset,
        event: RangeEvent,
    ) -> Result<Option<H>, IllegalTransition> {
        let Some(entry) = self.entries.get_mut(&at) else {
            return Ok(None);
        };
        let before = entry.state;
        let after = before.after(event)?;
        *self.counts.entry(before).or_default() -= 1;
        match after {
            Some(state) => {
                entry.state = state;
                *self.counts.entry(state).or_default() += 1;
                Ok(None)
            }
            None => Ok(self.entries.remove(&at).map(|entry| entry.hold)),
        }
    }

    /// Marks the ranges of a call to the VMM that never returned as indeterminate.
    pub(crate) fn abandon_calls(&mut self) {
        let under_way: Vec<_> = self
            .iter()
            .filter_map(|entry| Some((entry.range.start(), entry.state.abandoned()?)))
            .collect();
        for (at, event) in under_way {
            let moved = self.apply(at, event);
            debug_assert!(moved.is_ok(), "the state machine knows abandoned calls");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, len: u64) -> WindowRange {
        WindowRange::new(WindowOffset(start), len).unwrap()
    }

    fn target(inode: u64) -> Target {
        Target {
            file: FileKey::numbered(inode),
            from: FileOffset(0),
        }
    }

    const WRITABLE: Allowed = Allowed {
        asked: Access::ReadWrite,
        allow: Access::ReadWrite,
    };

    fn table(ranges: &[(u64, u64)]) -> Table<()> {
        let mut table = Table::new();
        for (inode, (start, len)) in ranges.iter().enumerate() {
            let target = target(inode as u64);
            table.start_mapping(range(*start, *len), target, WRITABLE, ());
            table
                .apply(WindowOffset(*start), RangeEvent::Mapped)
                .unwrap();
        }
        table
    }

    #[test]
    fn overlaps_are_found_at_every_edge() {
        let table = table(&[(10, 10), (20, 10), (40, 10)]);
        let starts = |at, len| {
            table
                .overlapping(range(at, len))
                .map(|entry| entry.range.start().0)
                .collect::<Vec<_>>()
        };
        assert!(starts(0, 10).is_empty());
        assert_eq!(starts(0, 11), [10]);
        assert_eq!(starts(19, 1), [10]);
        assert_eq!(starts(20, 10), [20]);
        assert_eq!(starts(12, 2), [10]);
        assert_eq!(starts(15, 10), [10, 20]);
        assert!(starts(30, 10).is_empty());
        assert_eq!(starts(0, 1000), [10, 20, 40]);
    }

    #[test]
    fn a_range_leaves_the_table_once_it_is_free() {
        let mut table = table(&[(0, 10)]);
        let at = WindowOffset(0);
        table.apply(at, RangeEvent::UnmapStarted).unwrap();
        table.apply(at, RangeEvent::UnmapFailed).unwrap();
        assert_eq!(
            table.iter().next().unwrap().state,
            RangeState::Indeterminate
        );
        table.apply(at, RangeEvent::Mapped).unwrap_err();
        table.apply(at, RangeEvent::UnmapStarted).unwrap();
        table.apply(at, RangeEvent::Unmapped).unwrap();
        assert!(table.iter().next().is_none());
        assert_eq!(
            table.count(RangeState::Live) + table.count(RangeState::Indeterminate),
            0
        );
    }

    #[test]
    fn only_more_access_is_an_upgrade() {
        let mut table = Table::new();
        let (start, reads) = (
            WindowOffset(0),
            Allowed {
                asked: Access::ReadOnly,
                ..WRITABLE
            },
        );
        table.start_mapping(range(0, 10), target(0), reads, ());
        let steps = [
            Access::ReadOnly,
            Access::ReadWrite,
            Access::ReadWrite,
            Access::ReadOnly,
        ];
        assert_eq!(
            steps.map(|asked| table.upgrade(start, asked)),
            [false, true, false, false]
        );
        let entry = table.iter().next().unwrap();
        assert_eq!(
            entry.access.asked,
            Access::ReadWrite,
            "the guest takes nothing back"
        );
        assert!(
            !table.upgrade(WindowOffset(10), Access::ReadWrite),
            "a hole"
        );
    }

    #[test]
    fn abandoned_calls_leave_the_rest_alone() {
        let mut table = table(&[(0, 10), (10, 10)]);
        table.start_mapping(range(20, 10), target(9), WRITABLE, ());
        table
            .apply(WindowOffset(10), RangeEvent::UnmapStarted)
            .unwrap();
        table.abandon_calls();
        let states: Vec<_> = table.iter().map(|entry| entry.state).collect();
        use RangeState::{Indeterminate, Live};
        assert_eq!(states, [Live, Indeterminate, Indeterminate]);
        assert_eq!((table.count(Live), table.count(Indeterminate)), (1, 2));
    }
}
