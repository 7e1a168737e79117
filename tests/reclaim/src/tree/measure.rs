// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The course of a run: chores, rounds, sides.

use anyhow::Result;

use crate::host::in_order;

use super::{ChoreResult, Contestant, chores::Chore, results::Times, source::Shape};

/// What a run is watched by.
pub struct Watch<'a> {
    /// Whether it is to go on.
    pub goes_on: &'a dyn Fn() -> bool,
    /// Told of each round before it begins.
    pub progress: &'a dyn Fn(&str),
}

/// Lets all sides take turns at each chore. None if it was stopped.
///
/// # Errors
///
/// If a chore fails, or comes to something else than it must.
pub async fn measure(
    contestants: &[Contestant],
    shape: Shape,
    rounds: u32,
    watch: &Watch<'_>,
) -> Result<Option<Vec<ChoreResult>>> {
    let mut results = Vec::new();
    let mut first = None;
    for chore in Chore::ALL {
        let none = || {
            contestants
                .iter()
                .map(|one| Times::of(&one.name))
                .collect::<Vec<_>>()
        };
        let mut both = [none(), none()];
        for round in 0..rounds {
            (watch.progress)(&format!(
                "{}, round {} of {rounds}",
                chore.name(),
                round + 1
            ));
            for at in in_order(round, contestants.len()) {
                let one = &contestants[at];
                if !(watch.goes_on)() {
                    return Ok(None);
                }
                let took = one.turn(chore, shape, &mut first).await?;
                for (times, took) in both.iter_mut().zip(took) {
                    times[at].seconds.push(took.time.as_secs_f64());
                    times[at].daemon_cpu_s.push(took.daemon_cpu.as_secs_f64());
                }
            }
        }
        for (caches, times) in ["empty", "warm"].into_iter().zip(both) {
            results.push(ChoreResult::new(chore.name(), caches, times));
        }
    }
    Ok(Some(results))
}
