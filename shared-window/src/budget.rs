// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The number of memory regions that a virtual machine may still take.
//!
//! QEMU 11.1 gives every live mapping of every window a slot in one table that all vhost-user
//! devices of the machine share, and aborts the machine when the table would exceed 512 regions
//! (`vhost_user_add_remove_regions` asserts it). A device sees the whole table by its ADD_MEM_REG
//! and REM_MEM_REG messages, and has to refuse a mapping to its guest before QEMU aborts.
//!
//! The count comes from the device's control path and is read while a worker sets up a mapping.
//! Neither may wait for the other, so the count is one atomic number. It is exact when it matters:
//! the messages for a mapping arrive before [`Vmm::map`](crate::Vmm::map) returns.
//!
//! Non-goal: a reservation across processes. Two devices of a machine that pass the check at the
//! same moment may both map; [`RegionBudget::QEMU`] leaves a margin for them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The regions that a machine has in use, and the number from which mappings are refused.
#[derive(Debug)]
pub struct RegionBudget {
    limit: usize,
    /// How many mappings are allowed, whatever the number of regions.
    mappings: usize,
    in_use: AtomicUsize,
    /// Mappings are not regions of this machine.
    unneeded: AtomicBool,
}

impl RegionBudget {
    /// From this number of regions on, a mapping is refused under QEMU.
    ///
    /// QEMU aborts beyond 512 (`VHOST_USER_MAX_RAM_SLOTS`). The other 12 are a margin for mappings
    /// that other devices of the same machine set up at the same time, which this device does not
    /// see until QEMU has announced them, and for memory that QEMU itself plugs in.
    pub const QEMU: usize = 500;

    /// A budget that is used up once `limit` regions are in use. None are in use at first.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            mappings: usize::MAX,
            in_use: AtomicUsize::new(0),
            unneeded: AtomicBool::new(false),
        }
    }

    /// Limits the mapped ranges of this window to `mappings`: what other devices of the machine can
    /// bear, whose tables this device does not see.
    pub fn with_mappings(self, mappings: usize) -> Self {
        Self { mappings, ..self }
    }

    /// Sets whether mappings are regions of this machine, so that there is a limit. The default is
    /// that they are. Does not block.
    pub fn set_needed(&self, needed: bool) {
        self.unneeded.store(!needed, Ordering::Release);
    }

    /// Sets how many regions the machine has now. Does not block: it is made for the control path.
    pub fn set_in_use(&self, regions: usize) {
        self.in_use.store(regions, Ordering::Release);
    }

    /// The regions in use, as last set.
    pub fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Acquire)
    }

    /// The number of regions from which mappings are refused.
    pub fn limit(&self) -> usize {
        self.if_needed(self.limit)
    }

    /// The number of mappings from which more are refused.
    pub fn mappings(&self) -> usize {
        self.if_needed(self.mappings)
    }

    fn if_needed(&self, limit: usize) -> usize {
        match self.unneeded.load(Ordering::Acquire) {
            true => usize::MAX,
            false => limit,
        }
    }

    /// Whether one more mapping is allowed.
    pub fn has_room(&self) -> bool {
        self.in_use() < self.limit()
    }
}

impl Default for RegionBudget {
    /// The budget of a machine run by QEMU.
    fn default() -> Self {
        Self::new(Self::QEMU)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ends_at_the_limit_and_comes_back() {
        let budget = RegionBudget::new(3);
        for (in_use, room) in [(0, true), (2, true), (3, false), (4, false), (2, true)] {
            budget.set_in_use(in_use);
            assert_eq!(budget.has_room(), room, "with {in_use} regions");
        }
    }

    #[test]
    fn there_is_no_limit_where_mappings_are_no_regions() {
        let budget = RegionBudget::new(3).with_mappings(2);
        budget.set_in_use(4);
        for (needed, limits, room) in [
            (false, (usize::MAX, usize::MAX), true),
            (true, (3, 2), false),
        ] {
            budget.set_needed(needed);
            assert_eq!((budget.limit(), budget.mappings()), limits);
            assert_eq!(budget.has_room(), room, "needed: {needed}");
        }
    }

    #[test]
    fn the_default_stays_clear_of_the_abort() {
        const QEMU_ABORTS_BEYOND: usize = 512;
        let budget = RegionBudget::default();
        assert!(budget.limit() < QEMU_ABORTS_BEYOND);
    }
}
