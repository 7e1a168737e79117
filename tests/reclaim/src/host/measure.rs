// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The course of a run: guests, points, rounds.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Result;
use guest_agent::workload::Ran;

use super::{Contestant, Ground};
use crate::model::{Distribution, PointResult, Series};
use crate::plan::Point;

/// How each point is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    /// Turns of each side.
    pub rounds: u32,
    /// How long a warm one is.
    pub turn: Duration,
}

/// What a run is watched by.
pub struct Watch<'a> {
    /// Whether it is to go on.
    pub goes_on: &'a dyn Fn() -> bool,
    /// Told of each point before it is measured: how many are done, of how many.
    pub progress: &'a dyn Fn(usize, usize, &Point),
}

/// All sides, and the ground that they stand on.
pub struct Field {
    /// The sides, in the order of their turns.
    pub contestants: Vec<Contestant>,
    /// The files. They go after the guests.
    pub ground: Ground,
    /// The size of the window that working sets are multiples of.
    pub window: u64,
}

/// What was measured.
pub struct Measured {
    /// The points that all sides have done.
    pub points: Vec<PointResult>,
    /// Whether it is all.
    pub ended: Ended,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All is measured.
    All,
    /// It was stopped.
    Stopped,
}

/// Lets all sides take turns at each point.
///
/// # Errors
///
/// The first of a turn's.
pub async fn measure(
    field: &mut Field,
    points: &[Point],
    length: Length,
    watch: &Watch<'_>,
) -> Result<Measured> {
    let mut results = Vec::new();
    let mut known = HashSet::new();
    let mut number = 0;
    for (at, point) in points.iter().enumerate() {
        (watch.progress)(at, points.len(), point);
        field.ground.files(point.work.files)?;
        let players = field.contestants.iter_mut();
        let players = players.filter(|one| one.side.can(point.work.access));
        let mut players: Vec<(&mut Contestant, Series, Distribution)> = players
            .map(|one| {
                let series = Series::new(&one.name);
                (one, series, Distribution::default())
            })
            .collect();
        let first = known.insert((point.work.access, point.work.temperature));
        for round in 0..length.rounds + u32::from(first) {
            for at in in_order(round, players.len()) {
                let (one, series, latencies) = &mut players[at];
                if !(watch.goes_on)() {
                    let ended = Ended::Stopped;
                    return Ok(Measured {
                        points: results,
                        ended,
                    });
                }
                number += 1;
                let done = one.turn(point, field.window, number, length.turn).await?;
                // What a guest does for the first time is translated, or faulted in, as it does it.
                if !(first && round == 0) {
                    add(series, latencies, done);
                }
            }
        }
        let series = players
            .into_iter()
            .map(|(_, series, latencies)| series.with(&latencies));
        results.push(PointResult::new(point, series.collect()));
    }
    Ok(Measured {
        points: results,
        ended: Ended::All,
    })
}

/// Forward, then backward: who comes first after the pause between two rounds changes.
pub(crate) fn in_order(round: u32, count: usize) -> Vec<usize> {
    match round % 2 {
        0 => (0..count).collect(),
        _ => (0..count).rev().collect(),
    }
}

fn add(
    series: &mut Series,
    latencies: &mut Distribution,
    (round, ran): (crate::model::Round, Ran),
) {
    for thread in &ran.threads {
        latencies.add(&thread.latencies);
    }
    series.rounds.push(round);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_side_comes_first_and_last() {
        assert_eq!(in_order(0, 3), [0, 1, 2]);
        assert_eq!(in_order(1, 3), [2, 1, 0]);
    }
}
