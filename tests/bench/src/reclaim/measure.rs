// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs the benchmark: guests, points, rounds.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use dax_measure::stats::Latencies;
use dax_measure::{Order, Turn, turns};

use super::model::{PointResult, Series};
use super::plan::Point;
use super::{Fixture, SystemUnderTest};
use crate::guests::Watch;

/// How each point is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    /// Turns of each side.
    pub rounds: u32,
    /// The length of a warm turn.
    pub turn: Duration,
}

/// All sides, and their fixture.
pub struct Field {
    /// The sides, in the order of their turns.
    pub systems: Vec<SystemUnderTest>,
    /// The files. They are dropped after the guests.
    pub fixture: Fixture,
    /// The size of the window; working sets are multiples of it.
    pub window: u64,
}

/// Lets all sides take turns at each point. `None` if it was stopped.
///
/// # Errors
///
/// The first failure of a turn.
pub async fn measure(
    field: &mut Field,
    points: &[Point],
    length: Length,
    watch: &Watch<'_>,
) -> Result<Option<Vec<PointResult>>> {
    let began = Instant::now();
    let mut results = Vec::new();
    let mut known = HashSet::new();
    let mut number = 0;
    for (at, point) in points.iter().enumerate() {
        let rest = rest(at, points.len(), began.elapsed());
        let all = points.len();
        (watch.progress)(&format!("{} of {all}: {}{rest}", at + 1, point.name()));
        field.fixture.files(point.work.files)?;
        let able = |one: &&mut SystemUnderTest| one.side.can(point.work.access);
        let mut systems: Vec<_> = field
            .systems
            .iter_mut()
            .filter(able)
            .map(|one| (Series::new(&one.guest.name), Latencies::new(), one))
            .collect();
        // An action that a guest does for the first time is translated or faulted in, so it gets a
        // warm-up.
        let first = known.insert((point.work.access, point.work.temperature));
        let order = Order::BackAndForth;
        for Turn { side, round } in turns(order, u32::from(first), length.rounds, systems.len()) {
            let (series, latencies, one) = &mut systems[side];
            if !(watch.goes_on)() {
                return Ok(None);
            }
            number += 1;
            let (sample, ran) = one.sample(point, field.window, number, length.turn).await?;
            if round.is_some() {
                series.rounds.push(sample);
                for (ns, count) in ran.threads.iter().flat_map(|thread| &thread.latencies) {
                    latencies.record_many(*ns, *count);
                }
            }
        }
        let series = systems
            .into_iter()
            .map(|(series, latencies, _)| series.with(&latencies));
        results.push(PointResult::new(point, series.collect()));
    }
    Ok(Some(results))
}

/// The remaining time, as text.
fn rest(done: usize, all: usize, elapsed: Duration) -> String {
    match done {
        0 => String::new(),
        _ => {
            let rest = elapsed.as_secs_f64() / done as f64 * (all - done) as f64;
            format!(", about {rest:.0} s left")
        }
    }
}
