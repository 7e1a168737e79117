// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The mappings of views, and their lost pages.
//!
//! A run is a range of lost pages of one mapping, where an anonymous mapping replaces the file. The
//! table only records it; [`super::fault`] and [`super::restore`] do it, under the table's lock.

use core::ffi::c_int;
use core::ops::Range;

use crate::sorted::{Sorted, Span};
use crate::view::ViewId;

/// The most mappings that are recorded; the kernel allows no more by default (`vm.max_map_count`).
/// Further ones are not guarded.
const MAPPINGS: usize = 1 << 16;

/// The most runs. [`Table::is_crowded`] keeps their number below.
const RUNS: usize = 1 << 16;

/// How many of the kernel's mappings the guard may use. A process gets 65,530 by default, and QEMU
/// itself needs some.
const CROWDED: usize = 40_000;

/// A mapping of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// The offset in the file of its start.
    pub(crate) offset: u64,
    /// QEMU's number of the descriptor that the mapping was made from. QEMU keeps the descriptor
    /// open as long as the mapping; for other programs see [`crate::view::ViewFile`].
    pub(crate) descriptor: c_int,
    pub(crate) protection: c_int,
    pub(crate) view: ViewId,
    /// A number that no other mapping ever has.
    pub(crate) id: u64,
    /// The mapping's address in the guest, as set in KVM.
    pub(crate) guest: Option<GuestAddress>,
}

/// A place in the guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuestAddress {
    /// KVM's number of the slot.
    pub(crate) slot: u32,
    /// The address of the mapping's first byte.
    pub(crate) address: u64,
}

/// The kind of access that fails at a lost page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Reads fail: the page lies behind the file's end, or can't be read or allocated.
    Page,
    /// Stores fail: there is no room for the page.
    Room,
}

/// A range of lost pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) lost: Lost,
    /// Whether the guest has stored there. Before that the run is mapped read-only.
    pub(crate) stored: bool,
    /// Whether the run's current state was reported to the view's server.
    pub(crate) told: bool,
}

/// The table.
pub(crate) struct Table<const M: usize = MAPPINGS, const R: usize = RUNS> {
    mappings: Sorted<Mapping, M>,
    runs: Sorted<Run, R>,
    next_id: u64,
}

impl Mapping {
    const NONE: Self = Self {
        start: 0,
        end: 0,
        offset: 0,
        descriptor: 0,
        protection: 0,
        view: ViewId::NONE,
        id: 0,
        guest: None,
    };

    /// The file offset at `address`.
    pub(crate) fn offset_of(&self, address: usize) -> u64 {
        self.offset + address.wrapping_sub(self.start) as u64
    }

    /// Whether the guest may store there.
    pub(crate) fn is_writable(&self) -> bool {
        self.protection & libc::PROT_WRITE != 0
    }
}

impl Span for Mapping {
    fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    fn part(&self, range: Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
            offset: self.offset_of(range.start),
            guest: self.guest.map(|guest| GuestAddress {
                address: guest.address + (range.start - self.start) as u64,
                ..guest
            }),
            ..*self
        }
    }
}

impl Run {
    const NONE: Self = Self {
        start: 0,
        end: 0,
        lost: Lost::Page,
        stored: false,
        told: false,
    };

    fn is_like(&self, other: &Self) -> bool {
        let state = |run: &Self| (run.lost, run.stored, run.told);
        state(self) == state(other)
    }
}

impl Span for Run {
    fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    fn part(&self, range: Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
            ..*self
        }
    }
}

impl<const M: usize, const R: usize> Table<M, R> {
    pub(crate) const fn new() -> Self {
        Self {
            mappings: Sorted::new(Mapping::NONE),
            runs: Sorted::new(Run::NONE),
            next_id: 0,
        }
    }

    /// Records a mapping, which replaces any earlier one there; `false` if the table is full.
    pub(crate) fn insert(&mut self, mapping: Mapping) -> bool {
        self.forget(&mapping.range());
        self.next_id += 1;
        self.mappings.insert(Mapping {
            id: self.next_id,
            ..mapping
        })
    }

    /// Records that no view is mapped there any more.
    pub(crate) fn forget(&mut self, range: &Range<usize>) {
        self.runs.cut(range);
        self.mappings.cut(range);
    }

    fn mappings(&self) -> &[Mapping] {
        self.mappings.as_slice()
    }

    /// The first mapping that ends behind `address`.
    pub(crate) fn mapping_after(&self, address: usize) -> Option<Mapping> {
        self.mappings.at_or_after(address).copied()
    }

    pub(crate) fn run_count(&self) -> usize {
        self.runs.as_slice().len()
    }

    /// The mapping that holds `address`.
    pub(crate) fn mapping_at(&self, address: usize) -> Option<Mapping> {
        self.mappings.at(address).copied()
    }

    /// Whether `mapping` still holds `address`: it may have been unmapped, or cut, meanwhile.
    pub(crate) fn still_maps(&self, mapping: &Mapping, address: usize) -> bool {
        self.mapping_at(address)
            .is_some_and(|now| now.id == mapping.id)
    }

    /// The address in this process of a guest address that lies in a mapping.
    pub(crate) fn of_guest(&self, address: u64) -> Option<usize> {
        self.mappings().iter().find_map(|mapping| {
            let inside = address.checked_sub(mapping.guest?.address)?;
            let inside = usize::try_from(inside).ok()?;
            (inside < mapping.end - mapping.start).then_some(mapping.start + inside)
        })
    }

    /// Records that KVM has a slot at `address` of this process.
    pub(crate) fn set_guest(&mut self, address: usize, guest: GuestAddress) {
        self.mappings.change(address, |mapping| {
            let before = (address - mapping.start) as u64;
            mapping.guest = guest
                .address
                .checked_sub(before)
                .map(|address| GuestAddress { address, ..guest });
        });
    }

    /// Records that KVM has removed that slot.
    pub(crate) fn clear_guest(&mut self, slot: u32) {
        let is_there = |mapping: &&Mapping| mapping.guest.is_some_and(|guest| guest.slot == slot);
        if let Some(start) = self.mappings().iter().find(is_there).map(|m| m.start) {
            self.mappings.change(start, |mapping| mapping.guest = None);
        }
    }

    /// The run that holds `address`.
    pub(crate) fn run_at(&self, address: usize) -> Option<Run> {
        self.runs.at(address).copied()
    }

    /// The first run that ends behind `address`, and its mapping.
    pub(crate) fn run_after(&self, address: usize) -> Option<(Mapping, Run)> {
        let run = *self.runs.at_or_after(address)?;
        Some((self.mapping_at(run.start)?, run))
    }

    /// The first run that ends behind `address` and was not reported, and its mapping.
    pub(crate) fn untold_after(&self, address: usize) -> Option<(Mapping, Run)> {
        let runs = self.runs.as_slice();
        let from = runs.partition_point(|run| run.end <= address);
        let run = *runs.iter().skip(from).find(|run| !run.told)?;
        Some((self.mapping_at(run.start)?, run))
    }

    /// The part of `range` around `address` that belongs to no run and lies in the mapping. `None`
    /// if `address` itself does not.
    pub(crate) fn free_around(&self, address: usize, range: Range<usize>) -> Option<Range<usize>> {
        let mapping = self.mapping_at(address)?;
        let before = self.runs.before(address).map_or(0, |run| run.end);
        let after = match self.runs.at_or_after(address) {
            Some(run) if run.start <= address => return None,
            Some(run) => run.start,
            None => usize::MAX,
        };
        Some(range.start.max(mapping.start).max(before)..range.end.min(mapping.end).min(after))
    }

    /// Whether the kernel has too many mappings for runs to be kept apart.
    pub(crate) fn is_crowded(&self) -> bool {
        self.mappings().len() + 2 * self.run_count() >= CROWDED.min(R)
    }

    /// Records that `run` is lost. It replaces existing runs there, and is joined with equal
    /// neighbours of the same mapping.
    pub(crate) fn lose(&mut self, run: Run) {
        let Some(mapping) = self.mapping_at(run.start) else {
            return;
        };
        self.runs.cut(&run.range());
        let before = self.runs.before(run.start).filter(|left| {
            left.end == run.start && mapping.start < run.start && left.is_like(&run)
        });
        let after = self
            .runs
            .at_or_after(run.end)
            .filter(|right| right.start == run.end && run.end < mapping.end && right.is_like(&run));
        let start = before.map_or(run.start, |left| left.start);
        let end = after.map_or(run.end, |right| right.end);
        self.runs.cut(&(start..end));
        self.runs.insert(Run { start, end, ..run });
    }

    /// Records that the file's pages are mapped at `range` again.
    pub(crate) fn found(&mut self, range: &Range<usize>) {
        self.runs.cut(range);
    }

    /// Whether no page of the mapping is lost.
    pub(crate) fn is_whole(&self, mapping: &Mapping) -> bool {
        self.runs
            .at_or_after(mapping.start)
            .is_none_or(|run| run.start >= mapping.end)
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::vec::Vec;

    use super::*;

    fn mapping(start: usize, end: usize) -> Mapping {
        Mapping {
            start,
            end,
            offset: 1000,
            protection: libc::PROT_READ | libc::PROT_WRITE,
            ..Mapping::NONE
        }
    }

    fn table(mappings: &[(usize, usize)]) -> Box<Table<8, 16>> {
        let mut table = Box::new(Table::new());
        for (start, end) in mappings {
            assert!(table.insert(mapping(*start, *end)));
        }
        table
    }

    fn run(start: usize, end: usize) -> Run {
        Run {
            start,
            end,
            ..Run::NONE
        }
    }

    fn runs(table: &Table<8, 16>) -> Vec<(usize, usize)> {
        let runs = table.runs.as_slice().iter();
        runs.map(|run| (run.start, run.end)).collect()
    }

    #[test]
    fn a_mapping_is_cut_by_what_is_unmapped_and_mapped_over_it() {
        let mut table = table(&[(100, 200)]);
        table.lose(run(150, 200));
        let whole = table.mapping_at(120).unwrap();
        table.forget(&(140..160));
        assert_eq!(table.mapping_at(150), None);
        let tail = table.mapping_at(160).unwrap();
        assert_eq!((tail.offset, tail.end), (1060, 200));
        assert_eq!(runs(&table), [(160, 200)]);
        assert!(table.still_maps(&whole, 120) && table.still_maps(&whole, 199));
        assert!(!table.still_maps(&whole, 150));

        table.insert(mapping(100, 200));
        assert_eq!(runs(&table), [], "what is mapped anew has lost nothing");
        assert!(!table.still_maps(&whole, 120), "it is another mapping");
    }

    #[test]
    fn neighbours_that_are_alike_become_one_run() {
        let mut table = table(&[(100, 200), (200, 300)]);
        table.lose(run(120, 130));
        table.lose(run(140, 200));
        table.lose(run(130, 140));
        assert_eq!(runs(&table), [(120, 200)]);
        table.lose(run(200, 210));
        assert_eq!(runs(&table), [(120, 200), (200, 210)], "another mapping");
        table.lose(Run {
            stored: true,
            ..run(150, 160)
        });
        assert_eq!(
            runs(&table),
            [(120, 150), (150, 160), (160, 200), (200, 210)]
        );
        table.lose(run(100, 200));
        assert_eq!(runs(&table), [(100, 200), (200, 210)], "a collapse");
    }

    #[test]
    fn only_what_is_free_around_an_address_can_be_lost() {
        let mut table = table(&[(100, 200)]);
        table.lose(run(120, 130));
        table.lose(run(160, 170));
        assert_eq!(table.free_around(140, 90..300), Some(130..160));
        assert_eq!(table.free_around(110, 90..300), Some(100..120));
        assert_eq!(table.free_around(180, 150..190), Some(170..190));
        assert_eq!(table.free_around(165, 90..300), None);
        assert_eq!(table.free_around(300, 90..400), None);
        let (of, next) = table.run_after(130).unwrap();
        assert_eq!((of.start, next.start), (100, 160));
        let whole = table.mapping_at(100).unwrap();
        assert!(!table.is_whole(&whole));
        table.found(&(100..200));
        assert!(table.is_whole(&whole));
    }

    #[test]
    fn a_guest_s_address_finds_its_mapping() {
        let mut table = table(&[(100, 200), (300, 400)]);
        table.set_guest(
            300,
            GuestAddress {
                slot: 7,
                address: 5000,
            },
        );
        assert_eq!(table.of_guest(5050), Some(350));
        assert_eq!((table.of_guest(4999), table.of_guest(5100)), (None, None));
        table.forget(&(300..350));
        assert_eq!(table.of_guest(5050), Some(350));
        table.clear_guest(7);
        assert_eq!(table.of_guest(5050), None);
    }

    #[test]
    fn the_table_gets_crowded_before_it_is_full() {
        let mut table = table(&[(0, 1000)]);
        let mut lost = 0;
        while !table.is_crowded() {
            table.lose(run(lost, lost + 1));
            lost += 2;
        }
        assert!(table.run_count() < 16, "{}", table.run_count());
    }
}
