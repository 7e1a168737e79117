// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The targets, and the working set from which on a window is slower than no window.

use std::fmt;

use dax_measure::{Bound, Target};
use guest_agent::workload::{Access, Pattern, Temperature};

use super::{
    model::PointResult,
    plan::{Pins, USUAL_FILE},
};

/// The targets of a point, for each side whose window has the size for which the working set was
/// made.
pub(super) fn of(point: &PointResult) -> Vec<Target> {
    let Some((against, bound)) = wanted(point) else {
        return Vec::new();
    };
    let windows = point.series.iter().filter(|series| is_window(&series.side));
    let aim = |side: &str| {
        let ratio = point.ratio(side, against)?;
        Some(Target::new(
            side,
            format!("throughput / {against}"),
            bound,
            ratio,
        ))
    };
    windows.filter_map(|series| aim(&series.side)).collect()
}

fn wanted(point: &PointResult) -> Option<(&'static str, Bound)> {
    let work = &point.work;
    let usual = point.pins == Pins::None
        && work.pattern == Pattern::Sequential
        && work.threads == 1
        && work.files.size == USUAL_FILE;
    if !usual {
        return None;
    }
    let virtiofsd = |factor| Some(("virtiofsd-auto", Bound::AtLeast(factor)));
    // Linux frees ranges as soon as less than 20 % are free. So a working set of the window's size
    // does not fit.
    let within = point.times <= 0.8;
    match (work.access, work.temperature) {
        // Only with cold caches: a load from a cached page is a load from memory on all sides.
        (Access::Load, Temperature::Cold) if within => virtiofsd(6.0),
        (Access::Read, _) if within => virtiofsd(1.0),
        (Access::Extend, _) => virtiofsd(1.0),
        (Access::Read, _) if point.times == 2.0 => Some(("daxd-none", Bound::AtLeast(0.8))),
        _ => None,
    }
}

/// Whether the side is our daemon with a window.
pub(super) fn is_window(side: &str) -> bool {
    side.starts_with("daxd-") && !side.starts_with("daxd-none")
}

/// The working set from which on a side with a window is slower than our daemon without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossover {
    pub side: String,
    pub access: Access,
    pub temperature: Temperature,
    /// The largest working set, in windows, up to which it is as fast; `None` if it is slower from
    /// the start.
    pub last_ahead: Option<f64>,
    /// The smallest working set at which it is slower; `None` if it is never slower.
    pub first_behind: Option<f64>,
}

/// Points that differ only in the size of the working set, ascending.
pub fn over_working_sets(
    points: &[PointResult],
    access: Access,
    temperature: Temperature,
) -> Vec<&PointResult> {
    let wanted = |point: &&PointResult| {
        let work = &point.work;
        (work.access, work.temperature) == (access, temperature)
            && (work.pattern, work.threads) == (Pattern::Sequential, 1)
            && (work.files.size, point.pins) == (USUAL_FILE, Pins::None)
    };
    let mut row: Vec<_> = points.iter().filter(wanted).collect();
    row.sort_by(|a, b| a.times.total_cmp(&b.times));
    row
}

/// The crossovers of all groups of points over the size of the working set.
pub fn crossovers(points: &[PointResult]) -> Vec<Crossover> {
    let mut found = Vec::new();
    for access in Access::ALL {
        for temperature in [Temperature::Cold, Temperature::Warm] {
            let row = over_working_sets(points, access, temperature);
            if row.len() < 3 {
                continue;
            }
            let windows = row[0]
                .series
                .iter()
                .filter(|series| is_window(&series.side));
            found.extend(windows.filter_map(|series| {
                let ratios: Option<Vec<(f64, f64)>> = row
                    .iter()
                    .map(|point| {
                        Some((point.times, point.ratio(&series.side, "daxd-none")?.median))
                    })
                    .collect();
                let (last_ahead, first_behind) = between(&ratios?);
                Some(Crossover {
                    side: series.side.clone(),
                    access,
                    temperature,
                    last_ahead,
                    first_behind,
                })
            }));
        }
    }
    found
}

/// `daxd-32M, read warm: as fast as no window up to 1 windows, slower from 1.5`.
impl fmt::Display for Crossover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} {}: ",
            self.side,
            self.access,
            self.temperature.name()
        )?;
        match (self.last_ahead, self.first_behind) {
            (Some(ahead), Some(behind)) => {
                write!(
                    f,
                    "as fast as no window up to {ahead} windows, slower from {behind}"
                )
            }
            (Some(ahead), None) => write!(f, "as fast as no window up to {ahead} windows at least"),
            (None, _) => f.write_str("slower than no window from the smallest set on"),
        }
    }
}

/// The smallest ratio that counts as equally fast: a few rounds can't resolve a smaller difference.
const AS_FAST: f64 = 0.9;

/// Finds the crossover in ratios over ascending working sets.
fn between(ratios: &[(f64, f64)]) -> (Option<f64>, Option<f64>) {
    let behind = ratios.iter().position(|(_, ratio)| *ratio < AS_FAST);
    let ahead = behind.unwrap_or(ratios.len()).checked_sub(1);
    (ahead.map(|at| ratios[at].0), behind.map(|at| ratios[at].0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_between_two_working_sets() {
        let found = |ratios: [f64; 3]| {
            let row: Vec<_> = [0.5, 1.0, 2.0].into_iter().zip(ratios).collect();
            between(&row)
        };
        assert_eq!(found([3.0, 1.2, 0.5]), (Some(1.0), Some(2.0)));
        assert_eq!(found([3.0, 1.2, 1.0]), (Some(2.0), None));
        assert_eq!(found([0.85, 0.8, 0.7]), (None, Some(0.5)));
        assert_eq!(found([0.97, 0.5, 3.0]), (Some(0.5), Some(1.0)));
    }
}
