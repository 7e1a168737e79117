// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether one kernel's latencies differ from another's: the ratio of the medians, with an interval
//! by bootstrap (Efron 1979, percentile method).

use std::fmt;

use fastrand::Rng;
use serde::Serialize;

use super::latency::Distribution;

/// Fewer samples than these say nothing of a median's spread.
const ENOUGH: usize = 10;
/// How often both are drawn anew from what was measured.
const RESAMPLES: usize = 1000;
/// How many of them lie below the interval, and above: 95 % are in it.
const TAIL: usize = 25;
/// Equal runs give equal reports.
const SEED: u64 = 0x1a7e;

/// A ratio of medians.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// Of what was measured.
    pub ratio: f64,
    /// Where the interval of 95 % begins.
    pub low: f64,
    /// And where it ends.
    pub high: f64,
}

impl Ratio {
    /// Of two kernels' latencies; `None` if there are too few samples, or a median is 0.
    pub fn of(above: &Distribution, below: &Distribution) -> Option<Self> {
        if above.samples().len() < ENOUGH || below.samples().len() < ENOUGH {
            return None;
        }
        let divided = |above: u64, below: u64| (below > 0).then(|| above as f64 / below as f64);
        let ratio = divided(above.median()?, below.median()?)?;
        let mut random = Rng::with_seed(SEED);
        let mut ratios = Vec::with_capacity(RESAMPLES);
        for _ in 0..RESAMPLES {
            let (above, below) = (
                drawn_median(above, &mut random),
                drawn_median(below, &mut random),
            );
            ratios.push(divided(above, below)?);
        }
        ratios.sort_by(f64::total_cmp);
        Some(Self {
            ratio,
            low: ratios[TAIL],
            high: ratios[RESAMPLES - 1 - TAIL],
        })
    }
}

/// `1.07 (0.93 to 1.21)`, and what that means.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ratio, low, high } = self;
        let means = match () {
            _ if *low > 1.0 => "faster than the first",
            _ if *high < 1.0 => "slower than the first",
            _ => "no difference seen",
        };
        write!(f, "{ratio:.2} ({low:.2} to {high:.2}): {means}")
    }
}

/// The median of as many samples, drawn with replacement.
fn drawn_median(from: &Distribution, random: &mut Rng) -> u64 {
    let samples = from.samples();
    let mut drawn: Vec<u64> = (0..samples.len())
        .map(|_| samples[random.usize(..samples.len())])
        .collect();
    let middle = (drawn.len() - 1) / 2;
    *drawn.select_nth_unstable(middle).1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the interval leaves 1 out.
    fn differs(ratio: &Ratio) -> bool {
        !ratio.to_string().ends_with("no difference seen")
    }

    fn samples(from: u64, count: u64) -> Distribution {
        Distribution::new((0..count).map(|n| from + n * 10).collect())
    }

    #[test]
    fn the_middle_is_that_of_the_distribution() {
        for count in [10, 11, 50] {
            let all = samples(1000, count);
            let middle = (all.samples().len() - 1) / 2;
            assert_eq!(Some(all.samples()[middle]), all.median());
        }
    }

    #[test]
    fn twice_as_slow_is_seen_and_the_same_is_not() {
        let (fast, slow) = (samples(1000, 50), samples(2250, 50));
        let ratio = Ratio::of(&slow, &fast).unwrap();
        assert!(ratio.low <= ratio.ratio && ratio.ratio <= ratio.high);
        assert!((1.9..2.1).contains(&ratio.ratio), "{ratio:?}");
        assert!(
            ratio.low > 1.7 && ratio.high < 2.3 && differs(&ratio),
            "{ratio:?}"
        );
        assert!(!differs(&Ratio::of(&fast, &fast).unwrap()));
        let inverse = Ratio::of(&fast, &slow).unwrap();
        assert!(inverse.high < 1.0 && differs(&inverse));
        assert_eq!(
            Ratio::of(&slow, &fast),
            Some(ratio),
            "equal runs, equal reports"
        );
    }

    /// The interval is worth its name: of many pairs of samples of one population, about one in
    /// twenty is said to differ.
    #[test]
    fn one_in_twenty_of_the_same_is_said_to_differ() {
        let mut random = Rng::with_seed(7);
        let mut drawn = || {
            let sample =
                |random: &mut Rng| 1000 + (random.usize(..100) * random.usize(..100)) as u64;
            Distribution::new((0..20).map(|_| sample(&mut random)).collect())
        };
        let pairs = 60;
        let wrong = (0..pairs).filter(|_| {
            let (one, other) = (drawn(), drawn());
            differs(&Ratio::of(&one, &other).unwrap())
        });
        let wrong = wrong.count();
        assert!((1..=10).contains(&wrong), "{wrong} of {pairs}");
    }

    #[test]
    fn too_few_samples_and_a_median_of_nothing_have_no_ratio() {
        let (enough, few) = (samples(1000, 10), samples(1000, 9));
        assert!(Ratio::of(&enough, &enough).is_some());
        assert!(Ratio::of(&enough, &few).is_none());
        assert!(Ratio::of(&few, &enough).is_none());
        let none = Distribution::new(vec![0; 10]);
        assert!(Ratio::of(&enough, &none).is_none());
    }
}
