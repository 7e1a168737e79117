// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Numbers from samples, and the uncertainty of a ratio. No code here knows what was measured.
//!
//! Two sides take turns. Disturbances of the machine (other work, clock rates) change slowly
//! compared with a turn, so they affect both turns of a pair. The ratio of each pair is taken, and
//! the median of these ratios. The interval is the bootstrap's: pairs are drawn with replacement
//! many times, and the middle 95 % of the resulting medians are the interval (Efron 1979,
//! percentile method).

mod latencies;

use fastrand::Rng;
use serde::{Deserialize, Serialize};

pub use latencies::Latencies;

/// The number of bootstrap samples.
const DRAWS: usize = 2000;
/// The number of medians outside of the interval on each side: 2.5 %.
const TAIL: usize = DRAWS / 40;
/// A fixed seed, so that the same rounds always give the same interval.
const SEED: u64 = 0x6461_786c_6162;

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The best estimate.
    pub median: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Estimate {
    /// An exact number.
    pub fn exact(value: f64) -> Self {
        Self {
            median: value,
            low: value,
            high: value,
        }
    }
}

/// The middle sample, or the mean of the two in the middle; `None` without samples.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    of_sorted(&sorted)
}

fn of_sorted(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted {
        [] => None,
        _ if sorted.len() % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The ratio of `ours` to `theirs`. Samples with the same index were measured one after the other.
/// `None` if there is no pair, or a pair has no ratio.
pub fn paired_ratio(ours: &[f64], theirs: &[f64]) -> Option<Estimate> {
    let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a / b).collect();
    if ratios.iter().any(|ratio| !ratio.is_finite()) {
        return None;
    }
    let median = median(&ratios)?;
    let mut drawn = vec![0.0; ratios.len()];
    let (low, high) = interval(|random| {
        drawn.fill_with(|| ratios[random.usize(..ratios.len())]);
        drawn.sort_unstable_by(f64::total_cmp);
        of_sorted(&drawn)
    })?;
    Some(Estimate { median, low, high })
}

/// The middle 95 % of the results of `draw`; `None` if it once returns `None`.
pub(crate) fn interval(mut draw: impl FnMut(&mut Rng) -> Option<f64>) -> Option<(f64, f64)> {
    let mut random = Rng::with_seed(SEED);
    let drawn = (0..DRAWS).map(|_| draw(&mut random));
    let mut drawn = drawn.collect::<Option<Vec<f64>>>()?;
    drawn.sort_unstable_by(f64::total_cmp);
    Some((drawn[TAIL], drawn[DRAWS - 1 - TAIL]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of two sides on a machine that drifts by a third meanwhile. Each turn has `noise` of
    /// its own, and the first side is `factor` times as fast.
    fn rounds(factor: f64, noise: f64, count: usize, seed: u64) -> (Vec<f64>, Vec<f64>) {
        let mut random = Rng::with_seed(seed);
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
        // 5 % of 200 is 10. The percentile method gives slightly narrow intervals for 9 pairs.
        assert!(claimed <= 20, "claimed in {claimed} of 200 runs");
    }

    #[test]
    fn what_was_not_paired_would_drown_in_the_drift() {
        // A check of the check: the same rounds, paired by chance and not by time, show nothing.
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

    #[test]
    fn the_middle_is_found_in_any_order_and_moved_by_no_bad_round() {
        for (samples, middle) in [
            (&[][..], None),
            (&[7.0], Some(7.0)),
            (&[9.0, 1.0, 3.0], Some(3.0)),
            (&[4.0, 1.0, 100.0, 2.0], Some(3.0)),
            (&[10.0, 10.0, 11.0, 9.0, 10.0], Some(10.0)),
            (&[10.0, 10.0, 11.0, 9.0, 10_000.0], Some(10.0)),
        ] {
            assert_eq!(median(samples), middle, "{samples:?}");
        }
    }
}
