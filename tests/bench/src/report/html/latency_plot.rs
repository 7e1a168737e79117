// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Latencies: a row a point and side, a bar from the median to the 99th percentile, a dot for the
//! median of each round, the axis logarithmic. Only places are computed here; the template draws.

use serde::Serialize;

use super::axis::{Axis, ROW, TOP, Tick, colour};
use crate::{
    model::{Point, Series},
    report::quantity,
};

/// The plot of a suite.
#[derive(Debug, Serialize)]
pub struct LatencyPlot {
    height: f64,
    bottom: f64,
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
    median: f64,
    p99: f64,
    width: f64,
    rounds: Vec<f64>,
    text: String,
}

/// The plot of these points; none if there are none.
pub fn plot(points: &[&Point], sides: &[&str]) -> Option<LatencyPlot> {
    let all = || {
        points
            .iter()
            .flat_map(|p| p.series.iter().map(move |s| (*p, s)))
    };
    let numbers = all().flat_map(|(_, s)| [s.median_ns as f64, s.p99_ns as f64]);
    let axis = Axis::over(10.0, numbers);
    let mut before = None;
    let row = |(at, (point, series)): (usize, (&Point, &Series))| {
        let first = before.replace(point.name.clone()).as_ref() != Some(&point.name);
        let (median, p99) = (series.median_ns as f64, series.p99_ns as f64);
        let rounds = series
            .rounds
            .iter()
            .map(|round| axis.x(round.median_ns as f64));
        Row {
            y: TOP + ROW * (at as f64 + 0.5),
            point: first.then(|| point.name.clone()),
            side: series.side.clone(),
            colour: colour(sides, &series.side),
            median: axis.x(median),
            p99: axis.x(p99),
            width: (axis.x(p99) - axis.x(median)).max(1.0),
            rounds: rounds.collect(),
            text: format!("{}, p99 {}", quantity::time(median), quantity::time(p99)),
        }
    };
    let rows: Vec<Row> = all().enumerate().map(row).collect();
    let bottom = TOP + ROW * rows.len() as f64;
    (!rows.is_empty()).then(|| LatencyPlot {
        height: bottom + 6.0,
        bottom,
        ticks: axis.ticks(quantity::time),
        rows,
    })
}
