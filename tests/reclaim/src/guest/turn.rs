// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A turn: preparing it, running it, and looking at what came of it.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{
    Fault, caches,
    lane::{End, Lane, Measured},
    opened::Opened,
    pins::Pins,
    stalled,
    ticks::Rate,
};
use crate::work::{Blocked, Pattern, Ran, Temperature, Work};

/// How long warming up may take. A pass over the largest working set takes a few seconds.
const WARM_UP: Duration = Duration::from_secs(120);
/// How long no access may end before the pins are let go of.
const STALL: Duration = Duration::from_secs(4);
/// How long an access may take after that.
const HANG: Duration = Duration::from_secs(60);
/// Between two looks at the threads.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A turn that is prepared.
pub(super) struct Turn {
    work: Work,
    opened: Opened,
    number: u64,
    ran: bool,
    /// Whether warming up came to a standstill, and who slept then.
    stalled: bool,
    blocked: Vec<Blocked>,
}

impl Turn {
    /// Drops caches, opens files, and warms up where the work says so.
    pub(super) fn prepare(
        dir: &Path,
        work: Work,
        number: u64,
        rate: Rate,
        pins: impl FnOnce() -> Result<Option<Pins>, Fault>,
    ) -> Result<(Self, Option<Pins>), Fault> {
        caches::drop_all()?;
        // While nothing else has a range of the window.
        let mut pins = pins()?;
        let mut turn = Self {
            opened: Opened::open(dir, &work)?,
            work,
            number,
            ran: false,
            stalled: false,
            blocked: Vec::new(),
        };
        if turn.work.temperature == Temperature::Warm {
            let wanted = turn.work.pattern;
            turn.work.pattern = Pattern::Sequential;
            let warmed = turn.go(End::Pass(WARM_UP), rate, &mut pins)?;
            (turn.stalled, turn.blocked) = (warmed.stalled, warmed.blocked);
            turn.work.pattern = wanted;
            turn.ran = false;
        }
        Ok((turn, pins))
    }

    /// Runs it. Pins that it can't end with are let go of.
    pub(super) fn run(
        &mut self,
        limit: Duration,
        rate: Rate,
        pins: &mut Option<Pins>,
    ) -> Result<Ran, Fault> {
        let end = End::of(&self.work, limit);
        let mut ran = self.go(end, rate, pins)?;
        ran.stalled |= self.stalled;
        ran.blocked.append(&mut self.blocked);
        Ok(ran)
    }

    fn go(&mut self, end: End, rate: Rate, pins: &mut Option<Pins>) -> Result<Ran, Fault> {
        let done: Vec<AtomicU64> = (0..self.work.threads).map(|_| AtomicU64::new(0)).collect();
        let (work, opened, number) = (&self.work, &self.opened, self.number);
        let (measured, blocked) = thread::scope(|scope| {
            let threads: Vec<_> = (0..)
                .zip(&done)
                .map(|(thread, done)| {
                    scope.spawn(move || {
                        let mut lane = Lane::new(work, opened, thread, number);
                        let measured = lane.run(end, rate, done)?;
                        Ok::<_, Fault>((measured, lane))
                    })
                })
                .collect();
            let ended = || threads.iter().all(thread::ScopedJoinHandle::is_finished);
            let blocked = watch(&done, ended, pins)?;
            let measured = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            let measured: Vec<(Measured, Lane<'_>)> = measured.collect::<Result<_, Fault>>()?;
            Ok::<_, Fault>((measured, blocked))
        })?;
        opened.sync()?;
        for (_, lane) in &measured {
            lane.look_at_writes()?;
        }
        self.ran = true;
        let from = measured.iter().map(|(one, _)| one.from).min();
        let to = measured.iter().map(|(one, _)| one.to).max();
        Ok(Ran {
            ns: from.zip(to).map_or(0, |(from, to)| rate.ns(to.since(from))),
            threads: measured.iter().map(|(one, _)| one.told(rate)).collect(),
            stalled: blocked.is_some(),
            blocked: blocked.unwrap_or_default(),
        })
    }

    /// Closes the files.
    pub(super) fn finish(self) -> Result<(), Fault> {
        if !self.ran {
            return Err(Fault::Order("the turn has not been run".to_owned()));
        }
        self.opened.remove_grown(&self.work)
    }
}

/// Waits for the threads' end. Who slept where, if they came to a standstill that only the end of the
/// pins ended.
fn watch(
    done: &[AtomicU64],
    ended: impl Fn() -> bool,
    pins: &mut Option<Pins>,
) -> Result<Option<Vec<Blocked>>, Fault> {
    let count = || {
        done.iter()
            .map(|one| one.load(Ordering::Relaxed))
            .sum::<u64>()
    };
    let (mut before, mut since) = (count(), Instant::now());
    let mut blocked = None;
    while !ended() {
        thread::sleep(LOOK_AGAIN);
        let now = count();
        if now != before {
            (before, since) = (now, Instant::now());
        } else if since.elapsed() > STALL && pins.is_some() {
            blocked = Some(stalled::sleepers()?);
            *pins = None;
            since = Instant::now();
        } else if since.elapsed() > HANG {
            return Err(Fault::Hangs(HANG.as_secs()));
        }
    }
    Ok(blocked)
}
