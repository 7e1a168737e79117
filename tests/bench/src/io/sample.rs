// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One side's turn: all of its workers at a time.

use std::{
    panic,
    sync::atomic::{AtomicBool, AtomicU8, Ordering},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use super::{
    Work,
    step::Wrong,
    worker::{Done, Worker},
};
use crate::{
    model::Round,
    samples::{Length, Sample},
    system::{Affinity, ProcessTree, cpu_of_this_process},
};

/// What workers are told while they play. The one who tells them may be late on a busy machine;
/// what is counted is what happens between the moments at which clocks were read.
#[derive(Debug, Default)]
pub struct Phase {
    now: AtomicU8,
    counted: AtomicBool,
}

/// Between two looks whether something was counted.
const PAUSE: Duration = Duration::from_millis(1);

// 0 is the lead-in.
const COUNT: u8 = 1;
const STOP: u8 = 2;

impl Phase {
    /// Whether what ends now counts.
    pub fn counts(&self) -> bool {
        self.now.load(Ordering::Relaxed) == COUNT
    }

    /// Something was counted.
    pub fn note_counted(&self) {
        if !self.has_counted() {
            self.counted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nothing new is to be begun.
    pub fn is_over(&self) -> bool {
        self.now.load(Ordering::Relaxed) == STOP
    }

    fn has_counted(&self) -> bool {
        self.counted.load(Ordering::Relaxed)
    }

    fn set(&self, phase: u8) {
        self.now.store(phase, Ordering::Relaxed);
    }
}

/// Clocks, read at one moment.
struct Moment {
    time: Instant,
    daemon: Duration,
    driver: Duration,
}

impl Moment {
    fn now(daemon: &ProcessTree) -> Self {
        Self {
            time: Instant::now(),
            daemon: daemon.cpu(),
            driver: cpu_of_this_process(),
        }
    }
}

/// Plays on all queues, and accounts for the processor time of what is counted.
pub fn sample(
    workers: &mut [Worker],
    (daemon, affinity): (&ProcessTree, Affinity),
    work: Work,
    depth: u32,
    length: Length,
) -> Result<Sample, Wrong> {
    // The workers' threads are started by this one, and stay where it is.
    let pinned = affinity.driver();
    let _pinned = pinned.map_err(|errno| Wrong::Says(errno.to_string()))?;
    let phase = Phase::default();
    let (done, begin, end) = thread::scope(|scope| {
        let play = |worker| scope.spawn(|| Worker::play(worker, work, depth as usize, &phase));
        let playing: Vec<_> = workers.iter_mut().map(play).collect();
        // A turn is a length of time, and no event ends it.
        thread::sleep(length.lead_in);
        let begin = Moment::now(daemon);
        phase.set(COUNT);
        thread::sleep(length.turn);
        // A turn without an operation says nothing; a worker that has failed is finished.
        while !phase.has_counted() && !playing.iter().any(ScopedJoinHandle::is_finished) {
            thread::sleep(PAUSE);
        }
        phase.set(STOP);
        let end = Moment::now(daemon);
        (
            playing
                .into_iter()
                .map(joined)
                .collect::<Result<Vec<Done>, Wrong>>(),
            begin,
            end,
        )
    });
    let mut all = Done::default();
    for one in done? {
        all.latencies.add(&one.latencies);
        all.bytes += one.bytes;
    }
    let nanos = |cpu: Duration| cpu.as_nanos() as u64;
    let round = Round {
        daemon_cpu_ns: Some(nanos(end.daemon - begin.daemon)),
        driver_cpu_ns: nanos(end.driver - begin.driver),
        ..Round::new(&all.latencies, all.bytes, end.time - begin.time)
    };
    let latencies = all.latencies;
    Ok(Sample { round, latencies })
}

fn joined<T>(worker: ScopedJoinHandle<'_, T>) -> T {
    worker
        .join()
        .unwrap_or_else(|told| panic::resume_unwind(told))
}
