// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From which working set on a window is worth less than none.

use guest_agent::workload::{Access, Pattern, Temperature};
use serde::Serialize;

use super::{PointResult, aims::is_window};
use crate::plan::Pins;

/// Where a side with a window falls below our daemon without one, as working sets grow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Crossover {
    /// Whose.
    pub side: String,
    /// At which access.
    pub access: Access,
    /// With which caches.
    pub temperature: Temperature,
    /// The largest working set, in windows, up to which it is as fast; none if it begins behind.
    pub last_ahead: Option<f64>,
    /// The smallest one at which it is not; none if it is as fast everywhere.
    pub first_behind: Option<f64>,
}

/// Those of the series over the size of the working set.
pub fn crossovers(points: &[PointResult]) -> Vec<Crossover> {
    let mut found = Vec::new();
    for access in Access::ALL {
        for temperature in [Temperature::Cold, Temperature::Warm] {
            let mut row: Vec<&PointResult> = points
                .iter()
                .filter(|point| {
                    let work = &point.work;
                    (work.access, work.temperature) == (access, temperature)
                        && (work.pattern, work.threads) == (Pattern::Sequential, 1)
                        && (work.files.size, point.pins) == (4 << 20, Pins::None)
                })
                .collect();
            row.sort_by(|a, b| a.times.total_cmp(&b.times));
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

/// What counts as just as fast: a few rounds don't tell more than this from chance.
const AS_FAST: f64 = 0.9;

/// Of working sets in ascending order with their ratios.
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
