// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Removes mappings, and clears the window.

use super::{Inner, Operation, Window, WindowError};
use crate::live::Held;
use crate::table::{RangeEvent, Table};
use crate::units::{WindowOffset, WindowRange};
use crate::view::ViewSource;
use crate::vmm::{Vmm, VmmError};

/// The length in a removal that means the whole window.
const ALL: u64 = u64::MAX;

/// A request to remove a part of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveRange {
    /// The offset in the window.
    pub window: WindowOffset,
    /// The number of bytes. `u64::MAX` from offset 0 means the whole window, as in the unmap
    /// request of the first virtio-fs servers.
    pub len: u64,
}

impl<M: Vmm, S: ViewSource> Window<M, S> {
    /// Removes mappings, all ranges in one pass. A range that can't be removed does not keep the
    /// others from being removed. Returns once the VMM has acknowledged; a later mapping of the
    /// range is ordered behind.
    ///
    /// # Errors
    /// The first [`WindowError`] that occurred.
    pub fn remove(&self, ranges: &[RemoveRange]) -> Result<(), WindowError> {
        let done = self.inner.remove(ranges);
        self.inner.count_outcome(&done);
        done
    }

    /// Removes everything: for FUSE_DESTROY and device reset. Returns once all of it is in effect.
    ///
    /// # Errors
    /// The first [`WindowError`] that occurred; all other ranges are removed.
    pub fn clear(&self) -> Result<(), WindowError> {
        self.inner.clear()
    }
}

impl<M: Vmm, S: ViewSource> Inner<M, S> {
    fn remove(&self, ranges: &[RemoveRange]) -> Result<(), WindowError> {
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

    fn clear(&self) -> Result<(), WindowError> {
        let mut operation = self.begin();
        let mut outcome = Outcome::default();
        let all = all_ranges(&self.ranges.lock());
        self.unmap_each(&mut operation, &all, &mut outcome);
        if let Err(error) = self.fence(&mut operation) {
            outcome.failed(error.into());
        }
        outcome.first_error.map_or(Ok(()), Err)
    }

    /// Waits until all removals are in effect, unless they are known to be.
    pub(super) fn fence(&self, operation: &mut Operation<'_>) -> Result<(), VmmError> {
        if operation.operations.unfenced {
            self.vmm.fence()?;
            operation.operations.unfenced = false;
        }
        Ok(())
    }

    /// Unmaps one range of the table.
    pub(super) fn unmap(
        &self,
        operation: &mut Operation<'_>,
        range: WindowRange,
    ) -> Result<(), VmmError> {
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
