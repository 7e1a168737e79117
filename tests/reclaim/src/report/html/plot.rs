// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Lines over a plane, one a side. Only places are computed here; the template draws.

use serde::Serialize;

use super::axis::{Axis, Tick};

/// Where the plane lies in the drawing.
const ACROSS: (f64, f64) = (90.0, 700.0);
const DOWN: (f64, f64) = (330.0, 20.0);

/// A plot.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    title: String,
    x_name: &'static str,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    name: String,
    colour: usize,
    /// As an SVG polyline wants them.
    points: String,
    dots: Vec<(f64, f64)>,
    /// Where its name stands in the legend.
    legend: f64,
}

/// A side's name, its colour, and what it has at which place.
pub(super) type Drawn = (String, usize, Vec<(f64, f64)>);

/// How numbers along an axis are drawn.
pub(super) struct Scale {
    /// Each mark is so many times the one before.
    pub(super) base: f64,
    /// How a mark is labelled.
    pub(super) label: fn(f64) -> String,
}

/// Lines of points of which both numbers are above 0; none if there is no line of two points.
pub(super) fn plot(
    title: String,
    x_name: &'static str,
    (x, y): (Scale, Scale),
    lines: Vec<Drawn>,
) -> Option<Plot> {
    let drawn: Vec<_> = lines
        .into_iter()
        .map(|(name, colour, points)| {
            let points: Vec<_> = points
                .into_iter()
                .filter(|(x, y)| *x > 0.0 && *y > 0.0)
                .collect();
            (name, colour, points)
        })
        .filter(|(_, _, points)| points.len() > 1)
        .collect();
    if drawn.is_empty() {
        return None;
    }
    let all = || {
        drawn
            .iter()
            .flat_map(|(_, _, points)| points.iter().copied())
    };
    let across = Axis::over(x.base, all().map(|(x, _)| x), ACROSS);
    let down = Axis::over(y.base, all().map(|(_, y)| y), DOWN);
    let line = |(at, (name, colour, points)): (usize, Drawn)| {
        let dots: Vec<_> = points
            .iter()
            .map(|(x, y)| (across.at(*x), down.at(*y)))
            .collect();
        Line {
            name,
            colour,
            points: dots
                .iter()
                .map(|(x, y)| format!("{x},{y}"))
                .collect::<Vec<_>>()
                .join(" "),
            dots,
            legend: 30.0 + 18.0 * at as f64,
        }
    };
    Some(Plot {
        title,
        x_name,
        x_ticks: across.ticks(x.label),
        y_ticks: down.ticks(y.label),
        lines: drawn.into_iter().enumerate().map(line).collect(),
    })
}
