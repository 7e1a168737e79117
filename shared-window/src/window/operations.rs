// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The steps of a request, taken with the table locked.
//!
//! Each call to the VMM lies between two moves of the table's state machine, so that the table
//! says at any moment, also after a panic in the call, what the VMM may have.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Held, Inner, RemoveRange, SetupRange, Upgrade, WindowError};
use crate::table::{Allowed, RangeEvent, RangeState, Table, Target};
use crate::units::{Access, WindowOffset, WindowRange, page_size};
use crate::view::{View, ViewSource};
use crate::vmm::{Effect, Vmm, VmmError};

/// The length that stands for all of the window in a removal.
const ALL: u64 = u64::MAX;

type Views = Table<Held>;

/// A request for a mapping whose numbers have been checked.
#[derive(Clone)]
struct Ask {
    range: WindowRange,
    target: Target,
    /// What the guest says it will do.
    asked: Access,
    /// What the VMM is to allow.
    allow: Access,
}

/// What stands in the way of a new mapping.
enum Overlap {
    /// The mapping that was asked for, allowing this.
    Same(Access),
    /// Ranges that have to be unmapped first; none of them is live elsewhere.
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
        let mut table = self.lock();
        let done = self.setup_locked(&mut table, held, ask);
        self.count_ranges(&table);
        done
    }

    pub(super) fn remove(&self, ranges: &[RemoveRange]) -> Result<(), WindowError> {
        let mut table = self.lock();
        let mut outcome = Outcome::default();
        for one in ranges {
            match self.to_remove(&table, one) {
                Ok(ranges) => self.unmap_each(&mut table, &ranges, &mut outcome),
                Err(error) => outcome.failed(error),
            }
        }
        self.count_ranges(&table);
        outcome.first_error.map_or(Ok(()), Err)
    }

    pub(super) fn clear(&self) -> Result<(), WindowError> {
        let mut table = self.lock();
        let mut outcome = Outcome::default();
        let all: Vec<_> = table.iter().map(|entry| entry.range).collect();
        self.unmap_each(&mut table, &all, &mut outcome);
        self.count_ranges(&table);
        if let Err(error) = self.fence() {
            outcome.failed(error.into());
        }
        outcome.first_error.map_or(Ok(()), Err)
    }

    /// Checks the numbers of a request, which are the guest's, and the view.
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

    fn setup_locked(&self, table: &mut Views, held: Held, ask: Ask) -> Result<(), WindowError> {
        let in_the_way = match overlap(table, &ask)? {
            Overlap::Same(allowed)
                if allowed < ask.asked && self.options.upgrade == Upgrade::InPlace =>
            {
                return Err(WindowError::NotWritable(allowed));
            }
            Overlap::Same(allowed) => {
                self.stats.repeated.count();
                if table.upgrade(ask.range.start(), ask.asked) {
                    self.stats.upgraded.count();
                }
                if allowed >= ask.asked {
                    return Ok(());
                }
                vec![ask.range]
            }
            Overlap::ToUnmap(ranges) => ranges,
        };
        self.make_room(table, &in_the_way)?;
        let limit = self.options.max_ranges.min(self.budget.mappings());
        if table.len() >= limit {
            return Err(WindowError::NoRangeLeft { limit });
        }
        if !self.has_room()? {
            return Err(WindowError::NoRegionLeft {
                in_use: self.budget.in_use(),
                limit: self.budget.limit(),
            });
        }
        self.map(table, held, ask)
    }

    /// Unmaps what is in the way of a new mapping.
    fn make_room(&self, table: &mut Views, ranges: &[WindowRange]) -> Result<(), WindowError> {
        for range in ranges {
            self.unmap(table, *range)
                .map_err(|source| WindowError::Indeterminate {
                    range: *range,
                    source,
                })?;
            self.stats.replaced.count();
        }
        Ok(())
    }

    /// Whether the machine has a memory region for one more mapping; regions that are about to
    /// become free are waited for.
    fn has_room(&self) -> Result<bool, VmmError> {
        if !self.budget.has_room() {
            self.fence()?;
        }
        Ok(self.budget.has_room())
    }

    /// Waits until all removals are in effect, unless it is known that they are.
    fn fence(&self) -> Result<(), VmmError> {
        if self.unfenced.load(Ordering::Relaxed) {
            self.vmm.fence()?;
            self.unfenced.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    fn map(&self, table: &mut Views, held: Held, ask: Ask) -> Result<(), WindowError> {
        let Ask {
            range,
            target,
            asked,
            allow,
        } = ask;
        let (at, from) = (range.start(), target.from);
        let view = Arc::clone(&held.view);
        table.start_mapping(range, target, Allowed { asked, allow }, held);
        match self.vmm.map(at, range.len(), view.as_fd(), from, allow) {
            Ok(()) => {
                self.unfenced.store(false, Ordering::Relaxed);
                step(table, at, RangeEvent::Mapped);
                self.ranges.insert(range, &view, from);
                self.stats.mapped.count();
                Ok(())
            }
            Err(error) => {
                self.stats.failed_maps.count();
                match error.effect() {
                    Effect::Nothing => step(table, at, RangeEvent::MapRefused),
                    Effect::Unknown => {
                        step(table, at, RangeEvent::MapLost);
                        // When this fails too, the range stays indeterminate: nothing to add.
                        let _ = self.unmap(table, range);
                    }
                }
                Err(error.into())
            }
        }
    }

    /// Unmaps one range of the table.
    fn unmap(&self, table: &mut Views, range: WindowRange) -> Result<(), VmmError> {
        let at = range.start();
        step(table, at, RangeEvent::UnmapStarted);
        self.ranges.remove(at);
        self.unfenced.store(true, Ordering::Relaxed);
        match self.vmm.unmap(at, range.len()) {
            gone @ (Ok(()) | Err(VmmError::NotMapped { .. })) => {
                if gone.is_err() {
                    log::warn!("the VMM had no mapping of {range} to remove");
                }
                step(table, at, RangeEvent::Unmapped);
                self.stats.unmapped.count();
                Ok(())
            }
            Err(error) => {
                step(table, at, RangeEvent::UnmapFailed);
                self.stats.failed_unmaps.count();
                Err(error)
            }
        }
    }

    fn unmap_each(&self, table: &mut Views, ranges: &[WindowRange], outcome: &mut Outcome) {
        for range in ranges {
            if let Err(error) = self.unmap(table, *range) {
                outcome.failed(error.into());
            }
        }
    }

    /// The mappings that a removal takes away.
    fn to_remove(&self, table: &Views, one: &RemoveRange) -> Result<Vec<WindowRange>, WindowError> {
        if (one.window, one.len) == (WindowOffset(0), ALL) {
            return Ok(table.iter().map(|entry| entry.range).collect());
        }
        let asked = self.bounds(one.window, one.len)?;
        let found: Vec<_> = table.overlapping(asked).map(|entry| entry.range).collect();
        match found.iter().find(|live| !asked.contains(**live)) {
            Some(live) => Err(WindowError::Partial { asked, live: *live }),
            None if found.is_empty() => Err(WindowError::Unknown(asked)),
            None => Ok(found),
        }
    }
}

/// How a batch of removals went so far.
#[derive(Default)]
struct Outcome {
    first_error: Option<WindowError>,
}

impl Outcome {
    fn failed(&mut self, error: WindowError) {
        self.first_error.get_or_insert(error);
    }
}

/// Finds out what stands in the way of `ask`, or that it can't be had.
fn overlap(table: &Views, ask: &Ask) -> Result<Overlap, WindowError> {
    let mut to_unmap = Vec::new();
    for entry in table.overlapping(ask.range) {
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

/// Moves a range on. An illegal move is a mistake in this module, not something that a guest or a
/// VMM can cause; the range then stays as it is, which refuses rather than allows.
fn step(table: &mut Views, at: WindowOffset, event: RangeEvent) {
    if let Err(illegal) = table.apply(at, event) {
        debug_assert!(false, "{illegal}");
        log::error!("window table: {illegal} at {at}");
    }
}
