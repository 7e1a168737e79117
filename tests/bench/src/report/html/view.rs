// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the template shows.

use serde::Serialize;

use super::{
    latency_plot::{self, LatencyPlot},
    ratio_plot::{self, RatioPlot},
};
use crate::{
    model::{Aim, Measure, Point, Round, Run, Series, Suite, Verdict},
    report::quantity,
};

/// The whole page.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    style: &'static str,
    run: &'a Run,
    summary: String,
    state: &'static str,
    suites: Vec<SuiteView<'a>>,
}

#[derive(Debug, Serialize)]
struct SuiteView<'a> {
    name: &'static str,
    points: Vec<PointView<'a>>,
    ratios: Vec<RatioPlot>,
    latencies: Option<LatencyPlot>,
}

#[derive(Debug, Serialize)]
struct PointView<'a> {
    name: &'a str,
    about: &'a str,
    reference: &'a str,
    rows: Vec<RowView<'a>>,
    aims: Vec<AimView>,
}

#[derive(Debug, Serialize)]
struct RowView<'a> {
    side: &'a str,
    cells: Vec<String>,
    facts: Vec<String>,
}

#[derive(Debug, Serialize)]
struct AimView {
    text: String,
    verdict: &'static str,
    tone: &'static str,
}

/// Makes the page's data.
pub fn view<'a>(run: &'a Run, style: &'static str) -> View<'a> {
    let [met, unsure, missed] = run.tally();
    let suites = [Suite::Io, Suite::Map, Suite::Window];
    View {
        style,
        run,
        summary: format!("aims: {met} met, {unsure} unsure, {missed} missed"),
        state: if missed > 0 { "known" } else { "good" },
        suites: suites
            .into_iter()
            .filter_map(|suite| of_suite(run, suite))
            .collect(),
    }
}

fn of_suite(run: &Run, suite: Suite) -> Option<SuiteView<'_>> {
    let points: Vec<&Point> = run.points.iter().filter(|p| p.suite == suite).collect();
    let mut sides: Vec<&str> = Vec::new();
    for series in points.iter().flat_map(|point| &point.series) {
        if !sides.contains(&series.side.as_str()) {
            sides.push(&series.side);
        }
    }
    let ratio = |measure| ratio_plot::plot(measure, &points, &sides);
    (!points.is_empty()).then(|| SuiteView {
        name: suite.name(),
        ratios: [Measure::Rate, Measure::DaemonCpu]
            .into_iter()
            .filter_map(ratio)
            .collect(),
        latencies: latency_plot::plot(&points, &sides),
        points: points
            .iter()
            .map(|point| of_point(point, run.host.cores))
            .collect(),
    })
}

fn of_point(point: &Point, cores: u32) -> PointView<'_> {
    PointView {
        name: &point.name,
        about: &point.about,
        reference: &point.reference,
        rows: point
            .series
            .iter()
            .map(|series| row(point, series, cores))
            .collect(),
        aims: point.aims.iter().map(aim).collect(),
    }
}

fn row<'a>(point: &Point, series: &'a Series, cores: u32) -> RowView<'a> {
    let shown = |number: Option<f64>, how: fn(f64) -> String| number.map(how).unwrap_or_default();
    let compared = |measure| shown_ratio(point, &series.side, measure);
    let bytes = series.median_of(|round| (round.bytes > 0).then(|| round.throughput()));
    let facts = series.facts.iter();
    RowView {
        side: &series.side,
        cells: vec![
            shown(
                series.median_of(|round| Some(round.rate())),
                quantity::count,
            ),
            shown(bytes, quantity::throughput),
            quantity::time(series.median_ns as f64),
            quantity::time(series.p99_ns as f64),
            shown(series.median_of(Round::daemon_cpu), quantity::time),
            shown(series.median_of(Round::driver_cpu), quantity::time),
            shown(series.bound(cores), quantity::count),
            compared(Measure::Rate),
            compared(Measure::Median),
            compared(Measure::P99),
            compared(Measure::DaemonCpu),
        ],
        facts: facts
            .map(|f| format!("{} {} {}", f.name, quantity::ratio(f.value), f.unit))
            .collect(),
    }
}

fn shown_ratio(point: &Point, side: &str, measure: Measure) -> String {
    point
        .comparison(side, measure)
        .map(quantity::interval)
        .unwrap_or_default()
}

fn aim(aim: &Aim) -> AimView {
    AimView {
        text: format!(
            "{}: {} {}: {}",
            aim.side,
            aim.of,
            aim.bound,
            quantity::interval(aim.found)
        ),
        verdict: aim.verdict.name(),
        tone: match aim.verdict {
            Verdict::Met => "good",
            Verdict::Unsure => "dim",
            Verdict::Missed => "bad",
        },
    }
}
