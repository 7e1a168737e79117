// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The turn of one side.

use std::time::Duration;

use anyhow::{Context as _, Result};
use guest_agent::workload::{Count, Finish, Prepare, Ran, Run, Temperature, Trace};
use tokio::time::sleep;

use super::metrics::{Metrics, STALE, settled};
use super::model::Round;
use super::plan::{Pins, Point};
use super::system::SystemUnderTest;

/// A cold pass may take this many times a turn's length.
const COLD: u32 = 8;

impl SystemUnderTest {
    /// Does a point's work once.
    pub(super) async fn sample(
        &mut self,
        point: &Point,
        window: u64,
        number: u64,
        length: Duration,
    ) -> Result<(Round, Ran)> {
        let sample = self.awake(point, window, number, length).await;
        sample.with_context(|| {
            let console = self.guest.vm().guest().console_tail();
            format!(
                "{}: {}\nthe guest's console:\n{console}",
                self.guest.name,
                point.name()
            )
        })
    }

    async fn awake(
        &mut self,
        point: &Point,
        window: u64,
        number: u64,
        length: Duration,
    ) -> Result<(Round, Ran)> {
        let (dir, work) = (self.dir(), point.work.clone());
        self.make(work.files).await?;
        let ranges = match (self.side.window(), point.pins) {
            (None, _) | (_, Pins::None) => 0,
            (Some(_), pins) => pins.ranges(window),
        };
        let limit = match work.temperature {
            Temperature::Cold => length * COLD,
            Temperature::Warm => length,
        };
        let prepare = Prepare {
            dir,
            work,
            turn: number,
            pins: ranges,
        };
        self.worker.ask(prepare).await?;
        let before = self.begin_to_count().await?;
        let cpu = (
            self.guest.daemon.as_ref().map(|one| one.cpu()),
            self.qemu.cpu(),
        );
        let ran = self.worker.ask(Run::within(limit)).await?;
        let mut round = Round {
            bytes: ran.bytes(),
            accesses: ran.accesses(),
            ns: ran.ns,
            stalled: ran.stalled,
            blocked: ran.blocked.clone(),
            daemon_cpu_ns: self
                .guest
                .daemon
                .as_ref()
                .zip(cpu.0)
                .map(|(one, before)| (one.cpu() - before).as_nanos() as u64),
            qemu_cpu_ns: (self.qemu.cpu() - cpu.1).as_nanos() as u64,
            ..Round::default()
        };
        if self.side.window().is_some() {
            self.count(&mut round, before).await?;
        }
        self.worker.ask(Finish {}).await?;
        Ok((round, ran))
    }

    /// Starts the guest's counters, and returns the daemon's counters from before.
    async fn begin_to_count(&mut self) -> Result<Option<Metrics>> {
        if self.side.window().is_none() {
            return Ok(None);
        }
        let Some(socket) = self.metrics.clone() else {
            self.worker.ask(Trace {}).await?;
            return Ok(None);
        };
        loop {
            let before = Metrics::at(&socket).await?;
            self.worker.ask(Trace {}).await?;
            // The kernel's worker may have been active in between, and the daemon's values may be
            // slightly old.
            sleep(STALE).await;
            if Metrics::at(&socket).await? == before {
                return Ok(Some(before));
            }
        }
    }

    async fn count(&mut self, round: &mut Round, before: Option<Metrics>) -> Result<()> {
        let counts = match (self.metrics.clone(), before) {
            (Some(socket), Some(before)) => {
                let settled = settled(&mut self.worker, &socket, before).await?;
                let metrics = match &settled {
                    Some((_, after)) => *after,
                    None => Metrics::at(&socket).await?,
                };
                round.mapped_bytes = Some(metrics.mapped_bytes);
                round.used_bytes = Some(metrics.used_bytes);
                round.refused = Some(metrics.refused - before.refused);
                round.set_up = Some(metrics.set_up - before.set_up);
                round.removed = Some(metrics.removed - before.removed);
                settled.map(|(counts, _)| counts)
            }
            _ => self.worker.ask(Count {}).await?,
        };
        if let Some(counts) = counts {
            round.set_up = Some(counts.set_up);
            round.removed = Some(counts.removed);
            round.inline = Some(counts.inline);
            round.worker = Some(counts.worker);
        }
        Ok(())
    }
}
