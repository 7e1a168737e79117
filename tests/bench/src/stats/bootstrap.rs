// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How sure a ratio is.
//!
//! Two sides take turns. What the machine does meanwhile (other work, clock rates) changes slowly
//! against a turn and so is in both of a pair: the ratio of each pair is taken, and of these ratios
//! the median. Its interval is the bootstrap's: the pairs are drawn anew with replacement many
//! times, and the middle 95 % of the medians that come out are the interval (percentile method).

use serde::{Deserialize, Serialize};

use super::median::{median, of_sorted};

/// How often pairs are drawn anew.
const DRAWS: usize = 2000;
/// What is outside of the interval, on each side: 2.5 %.
const TAIL: usize = DRAWS / 40;
/// So that the same rounds always give the same interval.
const SEED: u64 = 0x6461_786c_6162;

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best guess.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Estimate {
    /// A number that is known.
    pub fn exact(value: f64) -> Self {
        Self {
            median: value,
            low: value,
            high: value,
        }
    }
}

/// The ratio of `ours` to `theirs`, of which those at the same place were measured one after the
/// other. None if there is no pair, or one has no ratio.
pub fn paired_ratio(ours: &[f64], theirs: &[f64]) -> Option<Estimate> {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    if ratios.iter().any(|ratio| !ratio.is_finite()) {
        return None;
    }
    let best = median(&ratios)?;
    let medians = drawn_medians(&ratios);
    Some(Estimate {
        median: best,
        low: medians[TAIL],
        high: medians[DRAWS - 1 - TAIL],
    })
}

/// The medians of samples drawn from at least one, in ascending order.
fn drawn_medians(samples: &[f64]) -> Vec<f64> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut drawn = vec![0.0; samples.len()];
    let draw = |_| {
        drawn.fill_with(|| samples[random.usize(..samples.len())]);
        drawn.sort_unstable_by(f64::total_cmp);
        of_sorted(&drawn)
    };
    let mut medians: Vec<f64> = (0..DRAWS).filter_map(draw).collect();
    medians.sort_unstable_by(f64::total_cmp);
    medians
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of two sides on a machine that drifts by a third while they take turns, each turn
    /// with `noise` of its own; the first side is `factor` times as fast.
    fn rounds(factor: f64, noise: f64, count: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut turn = |speed: f64, at: usize| {
            let drift = 1.0 + 0.33 * (at as f64 / count as f64);
            speed * drift * (1.0 + noise * (2.0 * random.f64() - 1.0))
        };
        (0..count)
            .map(|at| (turn(50_000.0 * factor, at), turn(50_000.0, at)))
            .unzip()
    }

    #[test]
    fn a_difference_of_five_percent_is_found() {
        let found = (0..100).filter(|seed| {
            let (ours, theirs) = rounds(1.05, 0.03, 9, *seed);
            let ratio = paired_ratio(&ours, &theirs).unwrap();
            ratio.low > 1.0 && ratio.low <= 1.05 + 0.03 && ratio.median < 1.1
        });
        let found = found.count();
        assert!(found >= 95, "found in {found} of 100 runs");
    }

    #[test]
    fn no_difference_is_not_found() {
        let claimed = (1000..1200).filter(|seed| {
            let (ours, theirs) = rounds(1.0, 0.03, 9, *seed);
            let ratio = paired_ratio(&ours, &theirs).unwrap();
            ratio.low > 1.0 || ratio.high < 1.0
        });
        let claimed = claimed.count();
        // 5 % of 200 is 10; the percentile method on 9 pairs is a little too narrow.
        assert!(claimed <= 20, "claimed in {claimed} of 200 runs");
    }

    #[test]
    fn what_was_not_paired_would_drown_in_the_drift() {
        // The oracle's own oracle: the same rounds, not paired by time but by chance, say nothing.
        let (ours, mut theirs) = rounds(1.05, 0.03, 9, 7);
        assert!(paired_ratio(&ours, &theirs).unwrap().low > 1.0);
        theirs.reverse();
        let ratio = paired_ratio(&ours, &theirs).unwrap();
        assert!(ratio.low < 1.0 && ratio.high > 1.05, "{ratio:?}");
    }

    #[test]
    fn one_wild_round_is_no_difference() {
        let (mut ours, theirs) = rounds(1.0, 0.02, 9, 3);
        ours[4] /= 50.0;
        let ratio = paired_ratio(&ours, &theirs).unwrap();
        assert!((0.97..1.03).contains(&ratio.median), "{ratio:?}");
    }

    #[test]
    fn the_same_rounds_give_the_same_interval() {
        let (ours, theirs) = rounds(1.2, 0.1, 5, 1);
        assert_eq!(paired_ratio(&ours, &theirs), paired_ratio(&ours, &theirs));
        let one = paired_ratio(&[6.0], &[3.0]).unwrap();
        assert_eq!(one, Estimate::exact(2.0));
    }

    #[test]
    fn nothing_has_no_ratio() {
        assert_eq!(paired_ratio(&[], &[]), None);
        assert_eq!(paired_ratio(&[1.0, 1.0], &[1.0, 0.0]), None);
    }
}
