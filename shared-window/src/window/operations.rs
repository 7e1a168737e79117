// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The steps of a request: one operation, which locks the table for each look and each move.
//!
//! Each call to the VMM lies between two moves of the table's state machine. So at any moment, also
//! after a panic in the call, the table says which mappings the VMM may have.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Inner, Operation, RemoveRange, SetupRange, Upgrade, WindowError};
use crate::live::Held;
use crate::table::{Allowed, RangeEvent, RangeState, Table, Target};
use crate::units::{Access, WindowOffset, WindowRange, page_size};
use crate::view::{View, ViewSource};
use crate::vmm::{Effect, Vmm, VmmError};

/// The length in a removal that means the whole window.
const ALL: u64 = u64::MAX;

/// A request for a mapping whose numbers have been checked.
#[derive(Clone)]
struct Ask {
    range: WindowRange,
    target: Target,
    /// The access that the guest has declared.
    asked: Access,
    /// The access that the VMM is to allow.
    allow: Access,
}

/// The existing ranges in the place of a new mapping.
enum Overlap {
    /// The requested mapping exists, with this access.
    Same(Access),
    /// Ranges that have to be unmapped first. None of them is a live mapping of another range.
    ToUnmap(Vec<WindowRange>),
}

impl<M: Vmm, S: ViewSource> Inner<M, S> {
    pub(super) fn setup(&self, view: &Arc<View>, ask: SetupRange) -> Result<(), WindowError> {
        let ask = self.check(view, ask)?;
        let (from, len) = (ask.target.from, ask.range.len());
        let mapped = self.mapped.enter(view.file(), view.key(), from, len);
        let held = Held {
            view: Arc::clone(view),
            _mapped: mapped.map_err(|_| WindowError::LosingPages)?,
        };
        let mut operation = self.begin();
        let to_unmap = match self.overlap(&ask)? {
            Overlap::Same(allowed)
                if allowed < ask.asked && self.options.upgrade == Upgrade::InPlace =>
            {
                return Err(WindowError::NotWritable(allowed));
            }
            Overlap::Same(allowed) => {
                self.stats.repeated.count();
                let upgraded = self.ranges.lock().upgrade(ask.range.start(), ask.asked);
                if upgraded {
                    self.stats.upgraded.count();
                }
                if allowed >= ask.asked {
                    return Ok(());
                }
                vec![ask.range]
            }
            Overlap::ToUnmap(ranges) => ranges,
        };
        self.make_room(&mut operation, &to_unmap)?;
        self.map(&mut operation, held, ask)
    }

    pub(super) fn remove(&self, ranges: &[RemoveRange]) -> Result<(), WindowError> {
        let mut operation = self.begin();
        let mut outcome = Outcome::default();
        for one in ranges {
            match self.to_remove(one) {
                Ok(ranges) => self.unmap_each(&mut operation, &ranges, &mut outcome),
                Err(error) => outcome.failed(error),
            }
        }
        outcome.first_error.map_or(Ok(()), Err)
    }

    pub(super) fn clear(&self) -> Result<(), WindowError> {
        let mut operation = self.begin();
        let mut outcome = Outcome::default();
        let all = all_ranges(&self.ranges.lock());
        self.unmap_each(&mut operation, &all, &mut outcome);
        if let Err(error) = self.fence(&mut operation) {
            outcome.failed(error.into());
        }
        outcome.first_error.map_or(Ok(()), Err)
    }

    /// Checks the numbers of a request, which the guest has chosen, and the view.
    fn check(&self, view: &View, ask: SetupRange) -> Result<Ask, WindowError> {
        let SetupRange {
            window,
            file,
            len,
            access,
        } = ask;
        if [window.0, file.0, len].iter().any(|n| n % page_size() != 0) {
            return Err(WindowError::Misaligned { window, file, len });
        }
        let range = self.bounds(window, len)?;
        if file
            .0
            .checked_add(len)
            .is_none_or(|end| end > i64::MAX as u64)
        {
            return Err(WindowError::FileOffsetTooLarge { file, len });
        }
        let most = if self.enforces_read_only.load(Ordering::Acquire) {
            self.options.access.min(view.access())
        } else {
            self.options.access
        };
        if view.access() < most.max(access) {
            return Err(WindowError::NotWritable(view.access()));
        }
        let target = Target {
            file: view.key().clone(),
            from: file,
        };
        let allow = match self.options.upgrade {
            Upgrade::InPlace => most,
            Upgrade::Remap => access,
        };
        Ok(Ask {
            range,
            target,
            asked: access,
            allow,
        })
    }

    fn bounds(&self, window: WindowOffset, len: u64) -> Result<WindowRange, WindowError> {
        WindowRange::new(window, len)
            .filter(|range| range.end().0 <= self.size.bytes())
            .ok_or(WindowError::OutOfBounds {
                window,
                len,
                size: self.size,
            })
    }

    /// Finds the existing ranges in the place of `ask`, or fails if `ask` can't be mapped.
    fn overlap(&self, ask: &Ask) -> Result<Overlap, WindowError> {
        let mut to_unmap = Vec::new();
        for entry in self.ranges.lock().overlapping(ask.range) {
            let live = entry.state == RangeState::Live;
            if live && entry.range != ask.range {
                return Err(WindowError::Overlap {
                    asked: ask.range,
                    live: entry.range,
                });
            }
            if live && entry.target == ask.target {
                return Ok(Overlap::Same(entry.access.allow));
            }
            to_unmap.push(entry.range);
        }
        Ok(Overlap::ToUnmap(to_unmap))
    }

    /// Unmaps the ranges in the place of a new mapping, and checks that one more mapping is
    /// allowed.
    fn make_room(
        &self,
        operation: &mut Operation<'_>,
        to_unmap: &[WindowRange],
    ) -> Result<(), WindowError> {
        for range in to_unmap {
            self.unmap(operation, *range)
                .map_err(|source| WindowError::Indeterminate {
                    range: *range,
                    source,
                })?;
            self.stats.replaced.count();
        }
        let limit = self.options.max_ranges.min(self.budget.mappings());
        if self.ranges.lock().len() >= limit {
            return Err(WindowError::NoRangeLeft { limit });
        }
        if !self.budget.has_room() {
            // Waits for regions that are about to become free.
            self.fence(operation)?;
            if !self.budget.has_room() {
                return Err(WindowError::NoRegionLeft {
                    in_use: self.budget.in_use(),
                    limit: self.budget.limit(),
                });
            }
        }
        Ok(())
    }

    /// Waits until all removals are in effect, unless they are known to be.
    fn fence(&self, operation: &mut Operation<'_>) -> Result<(), VmmError> {
        if operation.operations.unfenced {
            self.vmm.fence()?;
            operation.operations.unfenced = false;
        }
        Ok(())
    }

    fn map(&self, operation: &mut Operation<'_>, held: Held, ask: Ask) -> Result<(), WindowError> {
        let Ask {
            range,
            target,
            asked,
            allow,
        } = ask;
        let (at, from) = (range.start(), target.from);
        let view = Arc::clone(&held.view);
        let access = Allowed { asked, allow };
        self.ranges
            .lock()
            .start_mapping(range, target, access, held);
        match self.vmm.map(at, range.len(), view.as_fd(), from, allow) {
            Ok(()) => {
                operation.operations.unfenced = false;
                self.step(at, RangeEvent::Mapped);
                self.stats.mapped.count();
                Ok(())
            }
            Err(error) => {
                self.stats.failed_maps.count();
                match error.effect() {
                    Effect::Nothing => self.step(at, RangeEvent::MapRefused),
                    Effect::Unknown => {
                        self.step(at, RangeEvent::MapLost);
                        // If this fails too, the range stays indeterminate, and the first error is
                        // returned.
                        let _ = self.unmap(operation, range);
                    }
                }
                Err(error.into())
            }
        }
    }

    /// Unmaps one range of the table.
    fn unmap(&self, operation: &mut Operation<'_>, range: WindowRange) -> Result<(), VmmError> {
        let at = range.start();
        self.step(at, RangeEvent::UnmapStarted);
        operation.operations.unfenced = true;
        match self.vmm.unmap(at, range.len()) {
            gone @ (Ok(()) | Err(VmmError::NotMapped { .. })) => {
                if gone.is_err() {
                    log::warn!("the VMM had no mapping of {range} to remove");
                }
                self.step(at, RangeEvent::Unmapped);
                self.stats.unmapped.count();
                Ok(())
            }
            Err(error) => {
                self.step(at, RangeEvent::UnmapFailed);
                self.stats.failed_unmaps.count();
                Err(error)
            }
        }
    }

    fn unmap_each(
        &self,
        operation: &mut Operation<'_>,
        ranges: &[WindowRange],
        outcome: &mut Outcome,
    ) {
        for range in ranges {
            if let Err(error) = self.unmap(operation, *range) {
                outcome.failed(error.into());
            }
        }
    }

    /// The mappings that a removal removes.
    fn to_remove(&self, one: &RemoveRange) -> Result<Vec<WindowRange>, WindowError> {
        let table = self.ranges.lock();
        if (one.window, one.len) == (WindowOffset(0), ALL) {
            return Ok(all_ranges(&table));
        }
        let asked = self.bounds(one.window, one.len)?;
        let found: Vec<_> = table.overlapping(asked).map(|entry| entry.range).collect();
        match found.iter().find(|live| !asked.contains(**live)) {
            Some(live) => Err(WindowError::Partial { asked, live: *live }),
            None if found.is_empty() => Err(WindowError::Unknown(asked)),
            None => Ok(found),
        }
    }

    /// Applies an event to a range. An illegal transition is a bug of this module; no guest or VMM
    /// can cause one. The range then stays as it is, which refuses rather than allows.
    fn step(&self, at: WindowOffset, event: RangeEvent) {
        let moved = self.ranges.lock().apply(at, event);
        match moved {
            // Dropped without the lock: this may be the last holder of the view.
            Ok(released) => drop(released),
            Err(illegal) => {
                debug_assert!(false, "{illegal}");
                log::error!("window table: {illegal} at {at}");
            }
        }
    }
}

/// The result of a batch of removals so far.
#[derive(Default)]
struct Outcome {
    first_error: Option<WindowError>,
}

impl Outcome {
    fn failed(&mut self, error: WindowError) {
        self.first_error.get_or_insert(error);
    }
}

fn all_ranges(table: &Table<Held>) -> Vec<WindowRange> {
    table.iter().map(|entry| entry.range).collect()
}
