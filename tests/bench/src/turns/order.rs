// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whose turn it is.

use crate::{
    model::{Round, Series},
    stats::Latencies,
};

use super::Length;

/// What one turn gave of one aspect: setting a mapping up and removing it are two.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Its numbers.
    pub round: Round,
    /// Its latencies.
    pub latencies: Latencies,
}

/// All sides' series of one aspect of what they did.
pub type Aspect = Vec<Series>;

/// Lets each side warm up, and then all of them take turns. A turn gives one [`Turn`] an aspect.
///
/// # Errors
///
/// The first of a turn's.
pub fn in_turn<S, E, const ASPECTS: usize>(
    length: Length,
    sides: &mut [S],
    name: impl Fn(&S) -> String,
    mut turn: impl FnMut(&mut S, Length) -> Result<[Turn; ASPECTS], E>,
) -> Result<[Aspect; ASPECTS], E> {
    for side in &mut *sides {
        turn(side, length)?;
    }
    let mut taken: Vec<Vec<[Turn; ASPECTS]>> = sides.iter().map(|_| Vec::new()).collect();
    for _ in 0..length.rounds {
        for (side, taken) in sides.iter_mut().zip(&mut taken) {
            taken.push(turn(side, length)?);
        }
    }
    let series = |aspect: usize| {
        let each = sides.iter().zip(&taken);
        each.map(|(side, turns)| series(name(side), turns.iter().map(|turn| &turn[aspect])))
            .collect()
    };
    Ok(std::array::from_fn(series))
}

fn series<'a>(side: String, turns: impl Iterator<Item = &'a Turn>) -> Series {
    let mut all = Latencies::new();
    let mut rounds = Vec::new();
    for turn in turns {
        all.add(&turn.latencies);
        rounds.push(turn.round.clone());
    }
    Series::new(side, rounds, &all)
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use super::*;

    fn taking(us: u64) -> Turn {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_micros(us));
        Turn {
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
