// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The plots of a page.

use dax_measure::{
    plot::{Strip, Strips, colour, time_mark},
    quantity::{interval, time},
};

use crate::model::{Measure, Point, Suite};

/// One measure relative to the reference, with the intervals.
pub fn ratios(measure: Measure, suite: Suite, points: &[&Point], sides: &[&str]) -> Option<Strips> {
    let strips = points.iter().flat_map(|point| {
        let found = point
            .comparisons
            .iter()
            .filter(|one| one.measure == measure);
        found.map(|one| Strip {
            group: point.name.clone(),
            name: one.side.clone(),
            colour: colour(sides.iter().copied(), &one.side),
            span: (one.ratio.low, one.ratio.high),
            mark: one.ratio.median,
            text: format!("{} × {}", interval(one.ratio), point.reference),
            ..Strip::default()
        })
    });
    let title = format!(
        "{} of {} against the reference, with the 95 % interval",
        measure.name(),
        suite.name()
    );
    Strips::new(
        title,
        (2.0, |value| value.to_string()),
        true,
        strips.collect(),
    )
}

/// From the median to the 99th percentile.
pub fn latencies(suite: Suite, points: &[&Point], sides: &[&str]) -> Option<Strips> {
    let strips = points.iter().flat_map(|point| {
        point.series.iter().map(|series| {
            let (median, p99) = (series.median_ns as f64, series.p99_ns as f64);
            let rounds = series.rounds.iter();
            let mut dots: Vec<f64> = rounds.map(|round| round.median_ns as f64).collect();
            dots.sort_unstable_by(f64::total_cmp);
            Strip {
                group: point.name.clone(),
                name: series.side.clone(),
                colour: colour(sides.iter().copied(), &series.side),
                span: (median, p99),
                mark: median,
                dots,
                text: format!("{}, p99 {}", time(median), time(p99)),
                ..Strip::default()
            }
        })
    });
    let title = format!(
        "Latencies of {}: from the median to the 99th percentile; dots are the rounds' medians",
        suite.name()
    );
    Strips::new(title, (10.0, time_mark), false, strips.collect())
}
