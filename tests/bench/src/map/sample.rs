// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The turn of one side: it sets mappings up and removes them until the time is up.

use std::time::{Duration, Instant};

use anyhow::Result;
use dax_measure::stats::Latencies;

use super::{Case, Limit, guest::Guest};
use crate::{
    model::Round,
    samples::{Length, Sample},
    system::{Affinity, cpu_of_this_process},
};

/// A side.
pub enum MapSide {
    /// A daemon with live mappings.
    Guest(Box<Guest>),
    /// The physical limit.
    Limit(Limit),
}

/// The cost of one of the two verbs.
#[derive(Default)]
struct Spent {
    latencies: Latencies,
    time: Duration,
    daemon: Duration,
    driver: Duration,
}

impl MapSide {
    /// The side's name.
    pub fn name(&self) -> String {
        match self {
            Self::Guest(guest) => guest.running.name.clone(),
            Self::Limit(_) => "limit".into(),
        }
    }

    /// Sets up and removes, batch by batch. Returns a sample for each of the two verbs.
    pub fn sample(
        &mut self,
        case: Case,
        affinity: Affinity,
        length: Length,
    ) -> Result<[Sample; 2]> {
        // A failure is reported where the daemon is placed.
        let _pinned = affinity.driver();
        let begin = Instant::now() + length.lead_in;
        let end = begin + length.turn;
        let mut spent = [Spent::default(), Spent::default()];
        // At least one batch is measured, even if it takes longer than a turn.
        while Instant::now() < end || spent[0].latencies.count() == 0 {
            let counts = Instant::now() >= begin;
            self.ready(case);
            for (verb, spent) in [Self::set_up, Self::remove].into_iter().zip(&mut spent) {
                let before = (self.cpu(), cpu_of_this_process(), Instant::now());
                verb(self)?;
                let took = before.2.elapsed();
                if counts {
                    spent.add(took, case.batch);
                    spent.driver += cpu_of_this_process() - before.1;
                    spent.daemon += self.cpu() - before.0;
                }
            }
        }
        Ok(spent.map(Spent::sample))
    }

    fn cpu(&self) -> Duration {
        match self {
            Self::Guest(guest) => guest.running.processes.cpu(),
            Self::Limit(limit) => limit.cpu(),
        }
    }

    fn ready(&mut self, case: Case) {
        match self {
            Self::Guest(guest) => guest.ready(case),
            Self::Limit(limit) => limit.ready(case.batch),
        }
    }

    fn set_up(&mut self) -> Result<()> {
        match self {
            Self::Guest(guest) => guest.set_up(),
            Self::Limit(limit) => Ok(limit.set_up()?),
        }
    }

    fn remove(&mut self) -> Result<()> {
        match self {
            Self::Guest(guest) => guest.remove(),
            Self::Limit(limit) => Ok(limit.remove()?),
        }
    }
}

impl Spent {
    /// Adds a batch's time, divided by its mappings.
    fn add(&mut self, took: Duration, batch: u32) {
        for _ in 0..batch {
            self.latencies.record(took / batch);
        }
        self.time += took;
    }

    fn sample(self) -> Sample {
        let nanos = |cpu: Duration| cpu.as_nanos() as u64;
        Sample {
            round: Round {
                daemon_cpu_ns: Some(nanos(self.daemon)),
                driver_cpu_ns: nanos(self.driver),
                ..Round::new(&self.latencies, 0, self.time)
            },
            latencies: self.latencies,
        }
    }
}
