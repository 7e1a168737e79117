// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Counts the memory regions whose files the daemon has open, including regions that the VMM's
//! table no longer has.
//!
//! Until a request is served, it owns the table that its descriptors were looked up in, or the
//! files that they lie in. While requests wait, a guest could map and remove ranges, each with a
//! file of its own, until the daemon has no descriptor left for the VMM's next message. So a region
//! that a request still holds counts as a region of the machine. A mapping beyond the budget is
//! refused.
//!
//! Owner: the control thread updates the table, the window's operations query it. The lock is held
//! for one count.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use shared_window::RegionBudget;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use crate::adapter::TransportMemory;

#[derive(Default)]
struct Known {
    /// By address. The `Weak` keeps the address from being reused for another file.
    files: HashMap<*const File, Weak<File>>,
    /// The number of the last table's regions.
    regions: usize,
}

// SAFETY: the addresses are only keys and are never dereferenced.
unsafe impl Send for Known {}

/// See the module's documentation.
pub(crate) struct Census {
    known: Mutex<Known>,
    budget: Arc<RegionBudget>,
}

impl Census {
    /// Keeps `budget` up to date.
    pub(crate) fn new(budget: Arc<RegionBudget>) -> Self {
        Self {
            known: Mutex::default(),
            budget,
        }
    }

    /// Sets the current table. For the control thread.
    pub(crate) fn update(&self, table: &TransportMemory) {
        let mut known = self.known.lock();
        known.regions = table.num_regions();
        for file in table.iter().filter_map(GuestMemoryRegion::file_offset) {
            let file = file.arc();
            let entry = known.files.entry(Arc::as_ptr(file));
            entry.or_insert_with(|| Arc::downgrade(file));
        }
        self.count(&mut known);
    }

    /// Counts again which regions requests hold, if there is no room for a mapping.
    pub(crate) fn look_again(&self) {
        if !self.budget.has_room() {
            self.count_again();
        }
    }

    /// Counts again which regions requests hold: requests that made the VMM change its table held
    /// the old one.
    pub(crate) fn count_again(&self) {
        self.count(&mut self.known.lock());
    }

    fn count(&self, known: &mut Known) {
        known.files.retain(|_, file| file.strong_count() > 0);
        let in_use = known.files.len().max(known.regions);
        self.budget.set_in_use(in_use);
    }
}
