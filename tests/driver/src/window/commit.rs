// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Effects that are decided, and how they are carried out.

use super::Window;
use super::gate::Gate;
use super::reservation::Prepared;
use super::rules::Told;
use super::table::{Mapping, Violation};

/// Tells the daemon of memory regions.
pub(crate) trait Announce: Send + Sync {
    /// Whether the device is started.
    fn is_started(&self) -> bool;

    /// The number of the VM's memory regions, without mappings.
    fn memory_regions(&self) -> usize;

    /// Whether the VM has a limit of regions.
    fn is_limited(&self) -> bool;

    /// ADD_MEM_REG for a mapping at this address of the process.
    fn add(&self, mapping: &Mapping, address: u64);

    /// REM_MEM_REG for a mapping that was at this address.
    fn remove(&self, mapping: &Mapping, address: u64);

    /// Ends the VM.
    fn abort(&self);
}

/// An effect that is still to come.
#[derive(Debug)]
pub(super) enum Effect {
    /// If nothing was prepared, the file has already been mapped in its place.
    Map(Option<Prepared>, Mapping),
    Unmap {
        at: u64,
        len: u64,
    },
}

/// An acknowledged effect, and the gate that delays it.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) effect: Effect,
    pub(super) gate: Option<Gate>,
}

impl Window {
    /// Makes an effect visible to the guest, and tells the daemon.
    pub(super) fn take_effect(&self, effect: Effect, told: Told, announce: &dyn Announce) {
        let (mut gone, mut new) = match effect {
            Effect::Map(prepared, mapping) => self.map(prepared, mapping),
            Effect::Unmap { at, len } => self.unmap(at, len),
        };
        // A device that is not started is told of these changes when it starts.
        gone.retain(|one| told.has(one));
        new.retain(|one| told.has(one));
        if announce.is_started() {
            let address = |mapping: &Mapping| self.0.range.address(mapping.at.0) as u64;
            gone.iter()
                .for_each(|one| announce.remove(one, address(one)));
            new.iter().for_each(|one| announce.add(one, address(one)));
        }
        let mut state = self.0.state.lock();
        state.pending -= 1;
        if state.pending == 0 {
            self.0.settled.notify_all();
        }
    }

    /// Records an accepted request whose effect is still to come.
    pub(super) fn expect_effect(&self) {
        self.0.state.lock().pending += 1;
    }

    pub(super) fn note(&self, violation: Violation) {
        log::info!("against the VMM's rules: {violation:?}");
        let mut state = self.0.state.lock();
        state.violations.push(violation);
    }

    fn map(&self, prepared: Option<Prepared>, mapping: Mapping) -> (Vec<Mapping>, Vec<Mapping>) {
        let mut state = self.0.state.lock();
        let (gone, mut new) = state.table.remove(mapping.at.0, mapping.len);
        if let Some(prepared) = prepared {
            let placed = self.0.range.place(prepared, mapping.at.0);
            placed.expect("address space for a mapping that is moved");
        }
        state.table.insert(mapping.clone());
        new.push(mapping);
        state.stats.maps += 1;
        state.stats.most_mapped = state.stats.most_mapped.max(state.table.len());
        (gone, new)
    }

    fn unmap(&self, at: u64, len: u64) -> (Vec<Mapping>, Vec<Mapping>) {
        let mut state = self.0.state.lock();
        let changed = state.table.remove(at, len);
        let cleared = self.0.range.clear(at, len);
        cleared.expect("address space for a hole");
        state.stats.unmaps += 1;
        changed
    }
}
