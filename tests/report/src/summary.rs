// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What all repetitions say of a kernel's wake latencies: their distribution, and how it compares
//! with that of the run's first kernel.

use serde::Serialize;

use super::{
    latency::{Distribution, Wakes, wakes},
    model::Run,
    ratio::Ratio,
};

/// The latencies of a pin on a file system and a kernel; in microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Summary<'a> {
    /// The file system.
    pub fs: &'a str,
    /// The pin, or the named case.
    pub pin: &'a str,
    /// The kernel.
    pub kernel: &'a str,
    /// As the server saw them.
    pub wake_us: Figures,
    /// By the guest's clock.
    pub wake_guest_us: Figures,
    /// Wake-ups in vain in all of them; `None` if none of them was counted.
    pub vain_wakeups: Option<u64>,
    /// The first kernel's median divided by this one's; `None` for the first kernel itself, and if
    /// there are too few samples.
    pub first_to_this: Option<Ratio>,
    /// The same by the guest's clock.
    pub first_to_this_guest: Option<Ratio>,
}

/// A distribution in figures; each is a sample that was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// How many samples.
    pub n: usize,
    /// The fastest.
    pub min: Option<u64>,
    /// The 50th percentile.
    pub median: Option<u64>,
    /// The 90th percentile.
    pub p90: Option<u64>,
    /// The 99th percentile.
    pub p99: Option<u64>,
    /// The slowest.
    pub max: Option<u64>,
}

impl From<&Distribution> for Figures {
    fn from(all: &Distribution) -> Self {
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

/// All of a run's, the kernels of a pin side by side.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

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
        // Without samples there is nothing to compare.
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
}
