// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The plots of a page.

use dax_measure::plot::{Curves, colour, time_mark};

use super::rows;
use crate::reclaim::model::{PointResult, ReclaimRun, Series};

/// The colour of a side, which is the same in all plots.
fn of_side(run: &ReclaimRun, side: &str) -> usize {
    colour(run.sides.iter().map(|one| one.name.as_str()), side)
}

/// One plot for each group of points that differ only in their working sets.
pub fn curves(
    run: &ReclaimRun,
    what: &str,
    label: fn(f64) -> String,
    number: impl Fn(&Series) -> Option<f64>,
) -> Vec<Curves> {
    let plots = rows(run).filter_map(|(access, temperature, points)| {
        let lines = run.sides.iter().map(|side| {
            let at = |point: &&PointResult| Some((point.times, number(point.side(&side.name)?)?));
            let places = points.iter().filter_map(at).collect();
            (side.name.clone(), of_side(run, &side.name), places)
        });
        let title = format!(
            "{access}, in sequence, caches {}: {what}",
            temperature.name()
        );
        let scales = (
            (2.0, (|times: f64| times.to_string()) as fn(f64) -> String),
            (10.0, label),
        );
        Curves::new(title, "working set / window", scales, lines)
    });
    plots.collect()
}

/// The share of a point's accesses that took longer than a time. Both axes are logarithmic, so that
/// rare accesses are visible.
pub fn latency(run: &ReclaimRun, point: &PointResult) -> Option<Curves> {
    let lines = point.series.iter().map(|series| {
        let curve = series.latency.curve.iter();
        let places = curve.map(|(percent, ns)| (*ns as f64, (100.0 - percent).max(0.005)));
        (
            series.side.clone(),
            of_side(run, &series.side),
            places.collect(),
        )
    });
    let percent: fn(f64) -> String = |percent: f64| format!("{percent} %");
    let title = format!("{}: accesses that took longer than", point.name);
    let scales = ((10.0, time_mark as fn(f64) -> String), (10.0, percent));
    Curves::new(title, "latency of one access", scales, lines)
}
