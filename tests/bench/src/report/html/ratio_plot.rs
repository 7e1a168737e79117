// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Ratios against the reference with their intervals: a row a point and side, the axis logarithmic
//! to the base 2. Only places are computed here; the template draws.

use serde::Serialize;

use super::axis::{Axis, ROW, TOP, Tick, colour};
use crate::{
    model::{Comparison, Measure, Point},
    report::quantity,
};

/// One measure's plot.
#[derive(Debug, Serialize)]
pub struct RatioPlot {
    measure: &'static str,
    height: f64,
    bottom: f64,
    /// Where both are equal.
    one: f64,
    ticks: Vec<Tick>,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    y: f64,
    /// Only at a point's first.
    point: Option<String>,
    side: String,
    colour: usize,
    low: f64,
    width: f64,
    median: f64,
    text: String,
}

/// The plot of one measure; none if no point has a comparison of it.
pub fn plot(measure: Measure, points: &[&Point], sides: &[&str]) -> Option<RatioPlot> {
    let found: Vec<(&Point, &Comparison)> = points
        .iter()
        .flat_map(|point| point.comparisons.iter().map(|one| (*point, one)))
        .filter(|(_, one)| one.measure == measure)
        .collect();
    let numbers = found
        .iter()
        .flat_map(|(_, one)| [one.ratio.low, one.ratio.high]);
    let axis = Axis::over(2.0, numbers.chain([1.0]));
    let mut before = None;
    let row = |(at, (point, one)): (usize, &(&Point, &Comparison))| {
        let first = before.replace(point.name.clone()).as_ref() != Some(&point.name);
        Row {
            y: TOP + ROW * (at as f64 + 0.5),
            point: first.then(|| point.name.clone()),
            side: one.side.clone(),
            colour: colour(sides, &one.side),
            low: axis.x(one.ratio.low),
            width: (axis.x(one.ratio.high) - axis.x(one.ratio.low)).max(1.0),
            median: axis.x(one.ratio.median),
            text: format!("{} × {}", quantity::interval(one.ratio), point.reference),
        }
    };
    let rows: Vec<Row> = found.iter().enumerate().map(row).collect();
    let bottom = TOP + ROW * rows.len() as f64;
    (!rows.is_empty()).then(|| RatioPlot {
        measure: measure.name(),
        height: bottom + 6.0,
        bottom,
        one: axis.x(1.0),
        ticks: axis.ticks(|value| format!("{value}")),
        rows,
    })
}
