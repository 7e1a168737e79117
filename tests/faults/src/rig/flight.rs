// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests about the window that are in flight on all queues while another event happens.

use anyhow::{Result, ensure};
use virtiofs_driver::fuse::Completion;
use virtiofs_driver::{Body, FileOffset, Request, Unique};

use super::Rig;
use crate::model::{FileId, RANGE, Shown, Slot};

/// A request in flight.
#[derive(Debug, Clone, Copy)]
pub struct Flight {
    queue: usize,
    unique: Unique,
    slot: Slot,
    /// The mapping that it makes; `None` if it removes one.
    shown: Option<Shown>,
}

/// A request that has completed.
#[derive(Debug, Clone, Copy)]
pub struct Landed {
    /// The slot.
    pub slot: Slot,
    /// The guest's result.
    pub result: Result<(), i32>,
}

impl Rig {
    /// Makes SETUPMAPPING available, without waiting.
    pub fn begin_map(
        &mut self,
        queue: usize,
        file: FileId,
        from: u64,
        slot: Slot,
    ) -> Result<Flight> {
        let from = FileOffset(from);
        let body = Body::setup_mapping(from, RANGE, slot.offset(), true);
        let request = Request::new(self.files.get(file).node, body);
        let shown = Some(Shown { file, from });
        self.begin(queue, slot, shown, &request)
    }

    /// Makes REMOVEMAPPING available, without waiting.
    pub fn begin_unmap(&mut self, queue: usize, slot: Slot) -> Result<Flight> {
        let ranges = [(slot.offset(), RANGE)];
        let request = Request::new(Default::default(), Body::remove_mapping(&ranges));
        self.begin(queue, slot, None, &request)
    }

    fn begin(
        &mut self,
        queue: usize,
        slot: Slot,
        shown: Option<Shown>,
        request: &Request<'_>,
    ) -> Result<Flight> {
        let pipeline = self.clients[queue].pipeline();
        let unique = pipeline.submit(request)?;
        pipeline.kick()?;
        Ok(Flight {
            queue,
            unique,
            slot,
            shown,
        })
    }

    /// Waits until all have completed, and enters those that succeeded into the model.
    pub fn land(&mut self, flights: &[Flight]) -> Result<Vec<Landed>> {
        self.watch
            .step(format!("{} requests come back", flights.len()));
        let mut landed = Vec::new();
        for queue in 0..self.clients.len() {
            let mut waited: Vec<_> = flights.iter().filter(|one| one.queue == queue).collect();
            while !waited.is_empty() {
                let Completion { unique, result } = self.clients[queue].pipeline().complete()?;
                let place = waited.iter().position(|flight| flight.unique == unique);
                ensure!(place.is_some(), "{unique} came back and was not sent");
                let flight = waited.swap_remove(place.unwrap_or_default());
                let result = super::outcome(result)?.map(drop);
                if result.is_ok() {
                    self.took_effect(flight);
                }
                let slot = flight.slot;
                landed.push(Landed { slot, result });
            }
        }
        Ok(landed)
    }

    fn took_effect(&mut self, flight: &Flight) {
        match flight.shown {
            Some(shown) => self.shown.0.insert(flight.slot, shown),
            None => self.shown.0.remove(&flight.slot),
        };
    }
}
