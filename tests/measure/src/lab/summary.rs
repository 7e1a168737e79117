// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A kernel's wake latencies over all repetitions: their distribution, and a comparison with the
//! run's first kernel.

use std::fmt;

use fastrand::Rng;
use serde::Serialize;

use super::{
    Run,
    latency::{Samples, Wakes, time, wakes},
};
use crate::{Table, stats::interval, text};

/// With fewer samples the spread of a median can't be estimated.
const ENOUGH: usize = 10;

/// The latencies of a pin on a file system and a kernel; in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary<'a> {
    pub fs: &'a str,
    /// The pin, or the named case.
    pub pin: &'a str,
    pub kernel: &'a str,
    /// Measured by the server.
    pub wake_us: Figures,
    /// Measured by the guest's clock.
    pub wake_guest_us: Figures,
    /// The number of all spurious wake-ups; `None` if they were not counted.
    pub vain_wakeups: Option<u64>,
    /// The first kernel's median divided by this kernel's. `None` for the first kernel itself, and
    /// if there are too few samples.
    pub first_to_this: Option<Ratio>,
    /// The same ratio by the guest's clock.
    pub first_to_this_guest: Option<Ratio>,
}

/// The figures of a distribution. Each figure is a measured sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    pub n: usize,
    pub min: Option<u64>,
    pub median: Option<u64>,
    pub p90: Option<u64>,
    pub p99: Option<u64>,
    pub max: Option<u64>,
}

impl From<&Samples> for Figures {
    fn from(all: &Samples) -> Self {
        Self {
            n: all.samples().len(),
            min: all.percentile(0),
            median: all.median(),
            p90: all.percentile(90),
            p99: all.percentile(99),
            max: all.percentile(100),
        }
    }
}

/// All summaries of a run, with the kernels of a pin side by side.
pub fn summaries<'a>(run: &'a Run) -> Vec<Summary<'a>> {
    let rows = wakes(&run.cells);
    let first = run.kernels().first().copied();
    let summary = |row: &Wakes<'a>| {
        let same = |other: &&Wakes<'a>| (other.fs, other.pin) == (row.fs, row.pin);
        let base = rows
            .iter()
            .find(|other| Some(other.kernel) == first && same(other));
        let base = base.filter(|base| base.kernel != row.kernel);
        Summary {
            fs: row.fs,
            pin: row.pin,
            kernel: row.kernel,
            wake_us: Figures::from(&row.wake),
            wake_guest_us: Figures::from(&row.wake_guest),
            vain_wakeups: row.vain_wakeups,
            first_to_this: base.and_then(|base| Ratio::of(&base.wake, &row.wake)),
            first_to_this_guest: base.and_then(|base| Ratio::of(&base.wake_guest, &row.wake_guest)),
        }
    };
    rows.iter().map(summary).collect()
}

/// The figures as a table, with a row for each pin on a file system and a kernel. The columns of
/// the guest's clock and of the comparison are for a page only.
pub fn figures(rows: &[Summary<'_>]) -> Table {
    let mut table = Table::new([
        "",
        "kernel",
        "n",
        "fastest",
        "median",
        "p90",
        "p99",
        "slowest",
        "median, guest",
        "ratio",
        "ratio, guest",
        "woken in vain",
    ]);
    table.wide = 4;
    let mut before = None;
    table.with(rows.iter().map(|row| {
        let [name, kernel] = row.names();
        let first = before.replace((row.fs, row.pin)) != Some((row.fs, row.pin));
        let time = |us: Option<u64>| us.map_or_else(String::new, |us| text::clip(&time(us), 7));
        let ratio = |ratio: Option<Ratio>| ratio.map_or_else(String::new, |r| r.to_string());
        let wake = row.wake_us;
        let vain = row.vain_wakeups.map(|count| count.to_string());
        let mut cells = vec![if first { name } else { String::new() }, kernel];
        cells.push(wake.n.to_string());
        cells.extend([wake.min, wake.median, wake.p90, wake.p99, wake.max].map(time));
        cells.push(time(row.wake_guest_us.median));
        cells.extend([row.first_to_this, row.first_to_this_guest].map(ratio));
        cells.push(vain.unwrap_or_else(|| "not counted".to_owned()));
        cells
    }))
}

impl Summary<'_> {
    /// File system and pin, and the kernel, cut to the width of a terminal's columns.
    pub fn names(&self) -> [String; 2] {
        let name = format!("{} {}", self.fs, self.pin);
        [
            text::clip(&format!("  {name}"), 29),
            text::clip(self.kernel, 17),
        ]
    }
}

/// A ratio of medians.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    pub ratio: f64,
    /// The lower end of the 95 % interval.
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    /// The ratio of two kernels' latencies; `None` if there are too few samples, or a median is 0.
    pub fn of(above: &Samples, below: &Samples) -> Option<Self> {
        if above.samples().len() < ENOUGH || below.samples().len() < ENOUGH {
            return None;
        }
        let divided = |above: u64, below: u64| (below > 0).then(|| above as f64 / below as f64);
        let ratio = divided(above.median()?, below.median()?)?;
        let (low, high) = interval(|random| {
            let (above, below) = (drawn_median(above, random), drawn_median(below, random));
            divided(above, below)
        })?;
        Some(Self { ratio, low, high })
    }
}

/// `1.07 (0.93 to 1.21)`, with its meaning.
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

/// The median of a bootstrap sample: as many samples, drawn with replacement.
fn drawn_median(from: &Samples, random: &mut Rng) -> u64 {
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
    use crate::lab::fixture;

    #[test]
    fn the_first_kernel_is_what_others_are_compared_with() {
        let run = fixture::interleaved();
        let all = summaries(&run);
        let [first, second] = &all[..] else {
            panic!("{all:?}")
        };
        assert_eq!(first.first_to_this, None);
        assert_eq!((first.wake_us.n, second.wake_us.n), (20, 20));
        assert_eq!(first.wake_us.min, Some(1000));
        assert_eq!(first.wake_us.max, Some(1190));
        assert_eq!(
            (first.vain_wakeups, second.vain_wakeups),
            (Some(0), Some(20))
        );
        let ratio = second.first_to_this.unwrap();
        assert!(ratio.high < 0.6 && ratio.low > 0.4, "{ratio:?}");
        // Without samples no comparison is possible.
        assert_eq!(second.first_to_this_guest, None);
        assert_eq!(second.wake_guest_us, Figures::default());
    }

    #[test]
    fn one_repetition_is_not_compared() {
        let run = fixture::small();
        assert!(
            summaries(&run)
                .iter()
                .all(|one| one.first_to_this.is_none())
        );
        assert!(summaries(&fixture::run(vec![])).is_empty());
    }

    /// Whether the interval excludes 1.
    fn differs(ratio: &Ratio) -> bool {
        !ratio.to_string().ends_with("no difference seen")
    }

    fn samples(from: u64, count: u64) -> Samples {
        Samples::new((0..count).map(|n| from + n * 10).collect())
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

    /// The interval is calibrated: of many pairs of samples from one population, about one in
    /// twenty is reported as different.
    #[test]
    fn one_in_twenty_of_the_same_is_said_to_differ() {
        let mut random = Rng::with_seed(7);
        let mut drawn = || {
            let sample =
                |random: &mut Rng| 1000 + (random.usize(..100) * random.usize(..100)) as u64;
            Samples::new((0..20).map(|_| sample(&mut random)).collect())
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
        let none = Samples::new(vec![0; 10]);
        assert!(Ratio::of(&enough, &none).is_none());
    }
}
