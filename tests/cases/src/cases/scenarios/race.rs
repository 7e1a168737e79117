// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Several actors at once, each for a bounded number of rounds.

use std::time::Duration;

use anyhow::{Result, ensure};
use guest_agent::files::KernelLog;
use guest_agent::worker::{Repeat, Repeated, Request, Span};

use crate::cases::Observation;
use crate::cases::fixture::Fixture;
use crate::cases::matrix;
use crate::cases::teardown::hung;
use crate::cases::wait::does_not_return;
use crate::host::{BREAK_LAYOUTS, Counter, Pending, Rig, Who, Worker};

/// How long a race may take. Its rounds take seconds, or some minutes on a host that is very busy, so a
/// race that has not ended by then hangs.
const RACE_DEADLINE: Duration = Duration::from_secs(400);

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
        seen.ran.push(done.span);
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
    if seen.ran.len() > 1 {
        let overlap = overlap(&seen.ran)?;
        seen.evidence
            .overlap
            .get_or_insert_default()
            .push_str(&overlap);
    }
    if seen.returned.is_none() {
        seen.finished = true;
    }
    matrix::close(rig, fixture, seen).await
}

/// How long all actors of a race ran at once. They race only if that is half the time of the one
/// that ran for the shortest time, at least.
fn overlap(ran: &[Span]) -> Result<String> {
    let last_begin = ran.iter().map(|span| span.began_ns).max().unwrap_or(0);
    let first_end = ran.iter().map(|span| span.ended_ns).min().unwrap_or(0);
    let together = first_end.saturating_sub(last_begin);
    let times = ran.iter().map(|span| span.ended_ns - span.began_ns);
    let shortest = times.min().unwrap_or(0);
    let ms = |ns: u64| ns / 1_000_000;
    ensure!(
        together > 0 && 2 * together >= shortest,
        "the race is none: its {} actors ran at once for {} ms only, and each for {} ms at least",
        ran.len(),
        ms(together),
        ms(shortest)
    );
    Ok(format!(
        "{} actors ran at once for {} ms; ",
        ran.len(),
        ms(together)
    ))
}

/// The least count by which a race has done what it is there for.
const LEAST: u64 = 10;

/// What the share's daemon has counted since a race began.
pub(super) struct Counts(Vec<(Counter, u64)>);

impl Counts {
    /// Begins to count.
    pub(super) fn begin(rig: &Rig, counters: &[Counter]) -> Result<Self> {
        let begin = counters
            .iter()
            .map(|&counter| Ok((counter, rig.count(counter)?)));
        Ok(Self(begin.collect::<Result<_>>()?))
    }

    /// Records the counts as evidence, and checks that none is too small.
    pub(super) fn end(self, rig: &Rig, seen: &mut Observation) -> Result<()> {
        for (counter, before) in self.0 {
            let count = rig.count(counter)? - before;
            ensure!(
                count >= LEAST,
                "the race is none: {counter:?} went up by {count} only"
            );
            let told = format!("{counter:?} went up by {count}; ");
            seen.evidence
                .overlap
                .get_or_insert_default()
                .push_str(&told);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(began_ms: u64, ended_ms: u64) -> Span {
        Span {
            began_ns: began_ms * 1_000_000,
            ended_ns: ended_ms * 1_000_000,
        }
    }

    #[test]
    fn actors_that_ran_one_after_the_other_are_no_race() {
        assert!(overlap(&[span(0, 100), span(10, 90)]).is_ok());
        assert!(overlap(&[span(0, 100), span(100, 200)]).is_err());
        assert!(overlap(&[span(0, 100), span(60, 160)]).is_err());
        let third = [span(0, 100), span(0, 100), span(200, 300)];
        assert!(overlap(&third).is_err());
        let told = overlap(&[span(0, 100), span(10, 500)]).unwrap();
        assert!(told.contains("90 ms"), "{told}");
    }
}
