// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window, as the guest and the test see it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::WindowError;
use super::reservation::Reservation;
use super::table::{Mapping, Table, Violation};
use crate::units::WindowOffset;

/// The daemon's requests so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WindowStats {
    /// SHMEM_MAP requests that succeeded.
    pub maps: u64,
    /// SHMEM_UNMAP requests that succeeded.
    pub unmaps: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests that have no effect by design, and only prove that all earlier ones are in effect.
    pub fences: u64,
    /// The largest number of mappings at a time.
    pub most_mapped: usize,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) table: Table,
    pub(super) violations: Vec<Violation>,
    pub(super) stats: WindowStats,
    /// The number of accepted requests whose effect is still to come.
    pub(super) pending: usize,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) range: Reservation,
    pub(super) state: Mutex<State>,
    /// Notified when no effect is pending.
    pub(super) settled: Condvar,
}

/// A handle of the window; its clones share the window.
#[derive(Debug, Clone)]
pub struct Window(pub(super) Arc<Shared>);

impl Window {
    /// Reserves a window of this size.
    pub(crate) fn new(size: u64) -> Result<Self, WindowError> {
        let range =
            Reservation::new(size).map_err(|source| WindowError::Reserve { size, source })?;
        Ok(Self(Arc::new(Shared {
            range,
            state: Mutex::default(),
            settled: Condvar::new(),
        })))
    }

    /// Bytes of the window.
    pub fn size(&self) -> u64 {
        self.0.range.size()
    }

    /// The live mappings in order.
    pub fn mappings(&self) -> Vec<Mapping> {
        self.0.state.lock().table.all()
    }

    /// The live mappings with their addresses in this process.
    pub(crate) fn with_addresses(&self) -> Vec<(Mapping, u64)> {
        let mappings = self.mappings().into_iter();
        mappings
            .map(|one| {
                let address = self.0.range.address(one.at.0) as u64;
                (one, address)
            })
            .collect()
    }

    /// The number of live mappings.
    pub fn mapped(&self) -> usize {
        self.0.state.lock().table.len()
    }

    /// The mapping at this offset.
    pub fn mapping_at(&self, at: WindowOffset) -> Option<Mapping> {
        self.0.state.lock().table.find(at.0).cloned()
    }

    /// Waits until all acknowledged requests are in effect and the daemon has been told. The guest
    /// may hear of a removal earlier. False after `patience`.
    #[must_use]
    pub fn wait_until_settled(&self, patience: Duration) -> bool {
        let mut state = self.0.state.lock();
        let unsettled = |state: &mut State| state.pending > 0;
        let waited = self
            .0
            .settled
            .wait_while_for(&mut state, unsettled, patience);
        !waited.timed_out()
    }

    /// The daemon's violations of the rules so far.
    pub fn violations(&self) -> Vec<Violation> {
        self.0.state.lock().violations.clone()
    }

    /// The daemon's requests so far.
    pub fn stats(&self) -> WindowStats {
        self.0.state.lock().stats
    }
}
