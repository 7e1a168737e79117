// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One side's turn: all of its lanes at a time.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{
    Work,
    lane::{Done, Lane},
    step::Wrong,
};
use crate::{
    model::Round,
    sides::{Running, cpu},
    turns::{Length, Turn},
};

/// Plays on all lanes, and accounts for the processor time of what is counted.
///
/// # Errors
///
/// The first lane's that fails.
pub fn turn(
    lanes: &mut [Lane],
    running: &Running,
    work: Work,
    depth: usize,
    length: Length,
) -> Result<Turn, Wrong> {
    let daemon = &running.family;
    let _pinned = running
        .pin
        .driver()
        .map_err(|errno| Wrong::Says(errno.to_string()))?;
    let (begin, end) = length.from_now();
    let (done, daemon_cpu, driver_cpu) = thread::scope(|scope| {
        let play = |lane| scope.spawn(move || Lane::play(lane, work, depth, (begin, end)));
        let playing: Vec<_> = lanes.iter_mut().map(play).collect();
        let now = || (daemon.cpu(), cpu::of_this_process());
        sleep_until(begin);
        let before = now();
        sleep_until(end);
        let after = now();
        let done: Result<Vec<Done>, Wrong> = playing
            .into_iter()
            .map(|lane| {
                lane.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect();
        done.map(|done| (done, after.0 - before.0, after.1 - before.1))
    })?;
    let mut all = Done::default();
    for one in done {
        all.latencies.add(&one.latencies);
        all.bytes += one.bytes;
    }
    let nanos = |cpu: Duration| cpu.as_nanos() as u64;
    let round = Round {
        daemon_cpu_ns: Some(nanos(daemon_cpu)),
        driver_cpu_ns: nanos(driver_cpu),
        ..Round::new(&all.latencies, all.bytes, length.turn)
    };
    let latencies = all.latencies;
    Ok(Turn { round, latencies })
}

fn sleep_until(then: Instant) {
    thread::sleep(then.saturating_duration_since(Instant::now()));
}
