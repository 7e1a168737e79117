// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VM's memory table.

use std::sync::Arc;

use vhost::vhost_user::VhostUserFrontend;
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};
use vm_memory::GuestAddress;

use super::control::MOST_REGIONS;
use super::{VhostError, Vm};
use crate::memory::Region;
use crate::window::Told;

/// Guest addresses between two regions, so that no region's end is another's beginning.
const GAP: u64 = 1 << 30;

/// A region that was added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RegionId(usize);

/// The VM's regions. The first one is always there.
pub(super) struct MemoryTable {
    regions: Vec<Option<Arc<Region>>>,
    /// Whether the daemon knows the table.
    shared: bool,
}

impl MemoryTable {
    pub(super) fn new(size: usize) -> Result<Self, VhostError> {
        let mut table = Self {
            regions: Vec::new(),
            shared: false,
        };
        table.create(size)?;
        Ok(table)
    }

    pub(super) fn main(&self) -> &Arc<Region> {
        self.regions[0].as_ref().expect("never removed")
    }

    pub(super) fn is_shared(&self) -> bool {
        self.shared
    }

    pub(super) fn set_shared(&mut self, shared: bool) {
        self.shared = shared;
    }

    fn create(&mut self, size: usize) -> Result<(RegionId, Arc<Region>), VhostError> {
        let region = Region::new(GuestAddress(self.free_base()), size)?;
        self.regions.push(Some(Arc::clone(&region)));
        Ok((RegionId(self.regions.len() - 1), region))
    }

    /// The address above all regions. Addresses of removed regions are used again, so that no
    /// region ever reaches the window.
    fn free_base(&self) -> u64 {
        let regions = self.regions.iter().flatten();
        let ends = regions.map(|one| one.base().0 + one.size() as u64);
        ends.max().map_or(0, |end| end.next_multiple_of(GAP) + GAP)
    }

    fn infos(&self) -> Vec<VhostUserMemoryRegionInfo> {
        self.regions
            .iter()
            .flatten()
            .map(|one| one.info())
            .collect()
    }
}

impl Vm {
    /// The memory that holds the queues and all buffers of clients.
    pub fn memory(&self) -> &Arc<Region> {
        self.memory.main()
    }

    /// Adds memory, like a hot-plugged DIMM, and tells the daemon if it has been started before.
    pub fn add_memory(&mut self, size: usize) -> Result<(RegionId, Arc<Region>), VhostError> {
        let (id, region) = self.memory.create(size)?;
        self.count_memory();
        if self.memory.shared {
            self.tell(
                |frontend| frontend.add_mem_region(&region.info()).map(drop),
                "ADD_MEM_REG",
            )?;
        }
        Ok((id, region))
    }

    /// Removes memory that was added. Buffers in it stay usable in this process.
    pub fn remove_memory(&mut self, id: RegionId) -> Result<(), VhostError> {
        let place = self.memory.regions.get_mut(id.0).filter(|_| id.0 > 0);
        let region = place.and_then(Option::take).ok_or(VhostError::NoRegion)?;
        self.count_memory();
        if self.memory.shared {
            self.tell(
                |frontend| frontend.remove_mem_region(&region.info()),
                "REM_MEM_REG",
            )?;
        }
        Ok(())
    }

    /// Sends SET_MEM_TABLE with all memory. The message replaces all regions of the daemon,
    /// including the mappings. The mappings follow one by one; if the daemon lacks
    /// CONFIGURE_MEM_SLOTS they are in the same message, which is not sent if it has no room for
    /// all.
    pub fn set_memory_table(&self) -> Result<(), VhostError> {
        let infos = self.memory.infos();
        let _busy = self.control.main_loop();
        if !self.control.has_slots() {
            if self.tells() && self.window().is_some() {
                self.announce_mappings();
                return Ok(());
            }
            return self.control.tell_table();
        }
        self.control.request("SET_MEM_TABLE", |frontend| {
            frontend.set_mem_table(&infos).map(drop)
        })?;
        self.control.forget_announced();
        self.announce_mappings();
        Ok(())
    }

    /// Tells the daemon of the window's mappings, if it has to know of them and does not.
    pub(super) fn announce_mappings(&self) {
        if let Some(window) = self.window().filter(|_| self.tells()) {
            let mut mappings = window.with_addresses();
            mappings.retain(|(mapping, _)| self.told.has(mapping));
            self.control.announce_changes(mappings);
        }
    }

    fn tells(&self) -> bool {
        self.told != Told::Nothing
    }

    /// Before QEMU starts a device that lacks CONFIGURE_MEM_SLOTS, it sends the whole table. If the
    /// table does not fit into the message, it does not start the device.
    pub(super) fn tell_table_or_fail(&self) -> Result<(), VhostError> {
        if self.control.has_slots() || !self.tells() {
            return Ok(());
        }
        self.announce_mappings();
        match self.control.regions() {
            0..=MOST_REGIONS => Ok(()),
            regions => Err(VhostError::TableFull { regions }),
        }
    }

    /// Sends the regions, one by one if the daemon supports that.
    pub(super) fn share_memory(&self) -> Result<(), VhostError> {
        self.count_memory();
        if !self.control.has_slots() {
            return self.set_memory_table();
        }
        for info in self.memory.infos() {
            self.control.request("ADD_MEM_REG", |frontend| {
                frontend.add_mem_region(&info).map(drop)
            })?;
        }
        Ok(())
    }

    fn count_memory(&self) {
        self.control.set_memory(self.memory.infos());
    }

    /// Sends a single change if the daemon supports that, and else the whole table.
    fn tell(
        &self,
        change: impl FnOnce(&mut vhost::vhost_user::Frontend) -> vhost::Result<()>,
        name: &'static str,
    ) -> Result<(), VhostError> {
        if self.control.has_slots() {
            self.control.request(name, change)
        } else {
            self.set_memory_table()
        }
    }
}
