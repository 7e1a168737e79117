// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Several actors at once, each for a bounded number of rounds.

use std::time::Duration;

use anyhow::Result;
use guest_agent::files::KernelLog;
use guest_agent::worker::{Repeat, Repeated, Request};

use crate::cases::Observation;
use crate::cases::fixture::Fixture;
use crate::cases::matrix;
use crate::cases::teardown::hung;
use crate::cases::wait::does_not_return;
use crate::host::{BREAK_LAYOUTS, Pending, Rig, Who, Worker};

/// How long a race may take. Its rounds take seconds, so a race that has not ended by then hangs.
const RACE_DEADLINE: Duration = Duration::from_secs(90);

/// An actor of a race, and the requests that it repeats.
pub(super) struct Runner {
    actor: Worker,
    name: &'static str,
    pending: Pending<Repeat>,
}

impl Runner {
    /// Starts `actor`: from now on it makes these requests, `times` times.
    pub(super) async fn start(
        mut actor: Worker,
        name: &'static str,
        times: u32,
        requests: Vec<Request>,
    ) -> Result<Self> {
        let until = None;
        let repeat = Repeat {
            times,
            until,
            requests,
        };
        let pending = actor.begin(repeat).await?;
        Ok(Self {
            actor,
            name,
            pending,
        })
    }

    /// Stops the actor, however far it has come.
    pub(super) async fn stop(self) -> Result<()> {
        Ok(self.actor.end().await?)
    }

    /// Waits for the actor's end; `None` if it hangs, which is recorded.
    pub(super) async fn end(
        self,
        rig: &mut Rig,
        seen: &mut Observation,
    ) -> Result<Option<Repeated>> {
        let Self {
            mut actor,
            name,
            pending,
        } = self;
        let done = actor.done_within(&pending, RACE_DEADLINE).await?;
        let Some(done) = done else {
            seen.step(format_args!("{name} has not ended in {RACE_DEADLINE:?}"));
            let waiter = Who::Process(actor.pid());
            does_not_return(rig.watcher(), waiter, &BREAK_LAYOUTS, seen).await?;
            seen.evidence.stack = Some(hung(rig, actor.pid()).await?);
            return Ok(None);
        };
        let ms = (done.span.ended_ns - done.span.began_ns) / 1_000_000;
        let repeated = done.outcome?;
        let Repeated { rounds, answers } = &repeated;
        seen.step(format_args!("{name}: {rounds} rounds in {ms} ms"));
        for (answer, count) in answers {
            seen.step(format_args!("{name}: {count} times {answer}"));
        }
        actor.end().await?;
        Ok(Some(repeated))
    }
}

/// Ends a fixture that was a race. A process that hangs is left, together with its guest.
pub(in crate::cases) async fn close(
    rig: &mut Rig,
    fixture: Fixture,
    seen: &mut Observation,
) -> Result<()> {
    if seen.hangs() {
        rig.spoil();
        let log = rig.watcher().ask(KernelLog {}).await?;
        seen.complaints = crate::cases::complaints(&log);
        seen.evidence.guest_log = log;
        return Ok(());
    }
    if seen.returned.is_none() {
        seen.finished = true;
    }
    matrix::close(rig, fixture, seen).await
}
