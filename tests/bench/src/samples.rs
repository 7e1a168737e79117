// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Samples of all sides, which take turns.

use std::time::Duration;

use dax_measure::{Order, Turn, stats::Latencies, turns};

use crate::model::{Round, Series};

/// The length of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    /// Turns of each side.
    pub rounds: u32,
    /// The counted part of a turn.
    pub turn: Duration,
    /// The uncounted start of each turn: at first, caches and clock rates are those of the other
    /// side.
    pub lead_in: Duration,
}

impl Length {
    /// `rounds` turns of length `turn`, each after an uncounted tenth of that length.
    pub fn new(rounds: u32, turn: Duration) -> Self {
        Self {
            rounds,
            turn,
            lead_in: turn / 10,
        }
    }
}

/// The result of one turn in one aspect: setting mappings up and removing them are two aspects.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its numbers.
    pub round: Round,
    /// Its latencies.
    pub latencies: Latencies,
}

/// The series of all sides in one aspect.
pub type Aspect = Vec<Series>;

/// Warms each side up, and then lets all sides take turns. A turn gives one [`Sample`] for each
/// aspect.
pub fn in_turn<S, E, const ASPECTS: usize>(
    length: Length,
    sides: &mut [S],
    name: impl Fn(&S) -> String,
    mut turn: impl FnMut(&mut S, Length) -> Result<[Sample; ASPECTS], E>,
) -> Result<[Aspect; ASPECTS], E> {
    let mut taken: Vec<Vec<[Sample; ASPECTS]>> = sides.iter().map(|_| Vec::new()).collect();
    for Turn { side, round } in turns(Order::Same, 1, length.rounds, sides.len()) {
        let sample = turn(&mut sides[side], length)?;
        if round.is_some() {
            taken[side].push(sample);
        }
    }
    let series = |aspect: usize| {
        let each = sides.iter().zip(&taken);
        each.map(|(side, taken)| series(name(side), taken.iter().map(|one| &one[aspect])))
            .collect()
    };
    Ok(std::array::from_fn(series))
}

fn series<'a>(side: String, samples: impl Iterator<Item = &'a Sample>) -> Series {
    let mut all = Latencies::new();
    let mut rounds = Vec::new();
    for sample in samples {
        all.add(&sample.latencies);
        rounds.push(sample.round.clone());
    }
    Series::new(side, rounds, &all)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn taking(us: u64) -> Sample {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_micros(us));
        Sample {
            round: Round::new(&latencies, 0, Duration::from_micros(us)),
            latencies,
        }
    }

    #[test]
    fn sides_alternate_and_the_first_turn_does_not_count() {
        let length = Length::new(3, Duration::from_millis(1));
        let mut order = String::new();
        let mut turns = 0;
        let turn = |side: &mut char, _| {
            order.push(*side);
            turns += 1;
            Ok::<_, Infallible>([taking(turns), taking(100 * turns)])
        };
        let [first, second] = in_turn(length, &mut ['a', 'b'], char::to_string, turn).unwrap();
        assert_eq!(order, "ab".repeat(4));
        let medians = |series: &Series| -> Vec<u64> {
            series
                .rounds
                .iter()
                .map(|round| round.median_ns / 1000)
                .collect()
        };
        assert_eq!(medians(&first[0]), [3, 5, 7]);
        assert_eq!(medians(&first[1]), [4, 6, 8]);
        assert_eq!(first[1].side, "b");
        assert_eq!(medians(&second[0])[0], 300);
    }
}
