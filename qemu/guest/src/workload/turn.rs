// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A turn: its preparation, its run, and the check of its result.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::lane::{End, Lane, Measured};
use super::opened::Opened;
use super::pins::Pins;
use super::ticks::Rate;
use super::{Blocked, Pattern, Ran, Temperature, Work};
use crate::files;
use crate::worker::Fault;

/// How long warming up may take. A pass over the largest working set takes a few seconds.
const WARM_UP: Duration = Duration::from_secs(120);
/// How long no access may end before the pins are released.
const STALL: Duration = Duration::from_secs(4);
/// How long an access may take after that.
const HANG: Duration = Duration::from_secs(60);
/// Pause between two checks of the threads.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Functions of a task that uses the window or reclaims it. Some of them may be inlined: the names
/// overlap on purpose.
const OF_THE_WINDOW: [&str; 6] = [
    "fuse_dax_free_mem_worker",
    "fuse_dax_break_layouts",
    "__fuse_dax_fault",
    "fuse_iomap_begin",
    "fuse_dax_read_iter",
    "fuse_dax_write_iter",
];

/// A turn that is prepared.
pub(super) struct Turn {
    work: Work,
    opened: Opened,
    number: u64,
    rate: Rate,
    ran: bool,
    /// Whether the warm-up stalled, and which tasks slept then.
    stalled: bool,
    blocked: Vec<Blocked>,
}

impl Turn {
    /// Opens files, and warms up where the work says so.
    pub(super) fn prepare(
        dir: &Path,
        work: Work,
        number: u64,
        pins: &mut Option<Pins>,
    ) -> Result<Self, Fault> {
        let mut turn = Self {
            opened: Opened::open(dir, &work)?,
            work,
            number,
            rate: Rate::of_this_machine(),
            ran: false,
            stalled: false,
            blocked: Vec::new(),
        };
        if turn.work.temperature == Temperature::Warm {
            let wanted = turn.work.pattern;
            turn.work.pattern = Pattern::Sequential;
            let warmed = turn.go(End::Pass(WARM_UP), pins)?;
            (turn.stalled, turn.blocked) = (warmed.stalled, warmed.blocked);
            turn.work.pattern = wanted;
            turn.ran = false;
        }
        Ok(turn)
    }

    /// Runs the turn. Releases pins that it can't end with.
    pub(super) fn run(&mut self, limit: Duration, pins: &mut Option<Pins>) -> Result<Ran, Fault> {
        let end = End::of(&self.work, limit);
        let mut ran = self.go(end, pins)?;
        ran.stalled |= self.stalled;
        ran.blocked.append(&mut self.blocked);
        Ok(ran)
    }

    fn go(&mut self, end: End, pins: &mut Option<Pins>) -> Result<Ran, Fault> {
        let rate = self.rate;
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
            return Err(Fault::new("finishing a turn", "it has not been run"));
        }
        self.opened.remove_grown(&self.work)
    }
}

/// Waits for the threads' end. Returns the sleeping tasks, if the threads stalled until the pins
/// were released.
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
            blocked = Some(sleepers()?);
            *pins = None;
            since = Instant::now();
        } else if since.elapsed() > HANG {
            return Err(Fault::new(
                "waiting for the threads",
                format!(
                    "an access has not ended {} s after the pins were let go of",
                    HANG.as_secs()
                ),
            ));
        }
    }
    Ok(blocked)
}

/// The tasks that sleep in Linux's DAX code for FUSE; one for those that sleep at the same place.
fn sleepers() -> Result<Vec<Blocked>, Fault> {
    let asleep = files::sleepers(&OF_THE_WINDOW).map_err(Fault::of("listing /proc"))?;
    Ok(Blocked::each_place(asleep.into_iter().map(|task| {
        Blocked {
            stack: task.functions().map(str::to_owned).collect(),
            comm: task.comm,
        }
    })))
}
