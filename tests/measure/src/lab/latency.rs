// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Wake latencies.

use std::fmt;

use super::{Cell, grid::grouped};
use crate::quantity;

/// Samples in microseconds, in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples(Vec<u64>);

impl Samples {
    /// Sorts them.
    pub fn new(mut samples: Vec<u64>) -> Self {
        samples.sort_unstable();
        Self(samples)
    }

    /// The samples in ascending order.
    pub fn samples(&self) -> &[u64] {
        &self.0
    }

    /// The smallest sample that `percent` of all samples do not exceed (nearest rank); `None`
    /// without samples.
    pub fn percentile(&self, percent: usize) -> Option<u64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }

    /// The 50th percentile.
    pub fn median(&self) -> Option<u64> {
        self.percentile(50)
    }
}

/// `n 20, median 1.20 ms, p99 9.80 ms`.
impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n {}", self.0.len())?;
        if let (Some(median), Some(p99)) = (self.median(), self.percentile(99)) {
            write!(f, ", median {}, p99 {}", time(median), time(p99))?;
        }
        Ok(())
    }
}

/// A time in microseconds, formatted in a suitable unit.
pub fn time(us: u64) -> String {
    match us {
        ..1000 => format!("{us} us"),
        _ => quantity::time(us as f64 * 1e3),
    }
}

/// The latencies of a pin on a file system and a kernel, for all removals together. The latencies
/// of a named case are separate.
#[derive(Clone, Debug)]
pub struct Wakes<'a> {
    pub fs: &'a str,
    /// The pin, or the named case.
    pub pin: &'a str,
    pub kernel: &'a str,
    /// Measured by the server; never empty.
    pub wake: Samples,
    pub wake_guest: Samples,
    /// The number of all spurious wake-ups, if they were counted.
    pub vain_wakeups: Option<u64>,
}

impl Wakes<'_> {
    /// File system and pin.
    pub fn name(&self) -> String {
        format!("{} {}", self.fs, self.pin)
    }
}

/// All measured latencies, with the kernels of a pin side by side.
pub fn wakes<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Wakes<'a>> {
    let measured = cells.into_iter().filter(|c| !c.evidence.wake_us.is_empty());
    let pins = grouped(measured, |cell| {
        let pin = cell.place().map_or(cell.case.as_str(), |(pin, _)| pin);
        (cell.fs.as_str(), pin)
    });
    let kernels = pins.into_iter().flat_map(|((fs, pin), cells)| {
        let kernels = grouped(cells, |cell| cell.kernel.as_str());
        kernels.into_iter().map(move |(kernel, cells)| {
            let seen = || cells.iter().map(|cell| &cell.evidence);
            let wake = seen().flat_map(|seen| &seen.wake_us).copied();
            let wake_guest = seen().flat_map(|seen| &seen.wake_guest_us).copied();
            let vain = seen().filter_map(|seen| seen.vain_wakeups);
            Wakes {
                fs,
                pin,
                kernel,
                wake: Samples::new(wake.collect()),
                wake_guest: Samples::new(wake_guest.collect()),
                vain_wakeups: vain.reduce(u64::saturating_add),
            }
        })
    });
    kernels.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let hundred = Samples::new((1..=100).rev().collect());
        assert_eq!(hundred.median(), Some(50));
        assert_eq!(hundred.percentile(99), Some(99));
        assert_eq!(hundred.percentile(0), Some(1));
        assert_eq!(hundred.percentile(100), Some(100));
        let one = Samples::new(vec![7]);
        assert_eq!(one.median(), one.percentile(99));
        assert_eq!(Samples::default().median(), None);
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        for (us, shown) in [
            (0, "0 us"),
            (999, "999 us"),
            (1200, "1.20 ms"),
            (20_000, "20.0 ms"),
            (999_000, "999 ms"),
            (1_500_000, "1.50 s"),
        ] {
            assert_eq!(time(us), shown);
        }
        let none = Samples::default();
        assert_eq!(none.to_string(), "n 0");
        let one = Samples::new(vec![1200]);
        assert_eq!(one.to_string(), "n 1, median 1.20 ms, p99 1.20 ms");
    }
}
