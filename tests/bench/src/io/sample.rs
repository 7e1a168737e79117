// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The turn of one side, with all of its workers.

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

/// The phase of a turn, shared with the workers. The thread that sets it may be late on a busy
/// machine. So operations count that end between the moments at which the clocks were read.
#[derive(Debug, Default)]
pub struct Phase {
    now: AtomicU8,
    counted: AtomicBool,
}

/// Between two checks whether an operation was counted.
const PAUSE: Duration = Duration::from_millis(1);

// 0 is the lead-in.
const COUNT: u8 = 1;
const STOP: u8 = 2;

impl Phase {
    /// Whether an operation that ends now counts.
    pub fn counts(&self) -> bool {
        self.now.load(Ordering::Relaxed) == COUNT
    }

    /// Records that an operation was counted.
    pub fn note_counted(&self) {
        if !self.has_counted() {
            self.counted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether no new operation may start.
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

/// The clocks, read at one moment.
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

/// Runs all queues, and measures the processor time of the counted operations.
pub fn sample(
    workers: &mut [Worker],
    (daemon, affinity): (&ProcessTree, Affinity),
    work: Work,
    depth: u32,
    length: Length,
) -> Result<Sample, Wrong> {
    // This thread starts the workers' threads, which inherit its processors.
    let pinned = affinity.driver();
    let _pinned = pinned.map_err(|errno| Wrong::Says(errno.to_string()))?;
    let phase = Phase::default();
    let (done, begin, end) = thread::scope(|scope| {
        let play = |worker| scope.spawn(|| Worker::play(worker, work, depth as usize, &phase));
        let playing: Vec<_> = workers.iter_mut().map(play).collect();
        // A turn has a fixed length; no event ends it.
        thread::sleep(length.lead_in);
        let begin = Moment::now(daemon);
        phase.set(COUNT);
        thread::sleep(length.turn);
        // A turn without an operation is useless, so it is extended. A worker that has failed is
        // finished.
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
