// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the template shows.

use dax_bench::model::Verdict;
use dax_bench::report::{quantity, told};
use guest_agent::workload::{Access, Pattern, Temperature};
use serde::Serialize;

use super::plot::{Plot, Scale, plot};
use crate::model::{PointResult, Run, Series, crossovers};
use crate::plan::Pins;
use crate::report::table;

/// How many sides have a colour of their own.
const COLOURS: usize = 10;

/// The whole page.
#[derive(Debug, Serialize)]
pub(super) struct View<'a> {
    style: &'static str,
    run: &'a Run,
    summary: String,
    state: &'static str,
    kernels: String,
    crossovers: Vec<String>,
    aims: Vec<AimView>,
    throughput: Vec<Plot>,
    reclaim: Vec<Plot>,
    latency: Vec<Plot>,
    table: String,
}

#[derive(Debug, Serialize)]
struct AimView {
    point: String,
    text: String,
    tone: &'static str,
}

/// Makes the page's data.
pub(super) fn view<'a>(run: &'a Run, style: &'static str) -> View<'a> {
    let [met, unsure, missed] = run.tally();
    View {
        style,
        run,
        summary: format!("aims: {met} met, {unsure} unsure, {missed} missed"),
        state: if missed > 0 { "known" } else { "good" },
        kernels: table::kernels(run),
        crossovers: crossovers(&run.points)
            .iter()
            .map(table::crossover)
            .collect(),
        aims: aims(run),
        throughput: over_working_sets(run, "bytes a second", quantity::throughput, |series| {
            Some(series.throughput())
        }),
        reclaim: over_working_sets(
            run,
            "ranges reclaimed a second",
            quantity::count,
            |series| {
                series.median_of(|round| {
                    let taken = round.inline.zip(round.worker).map(|(a, b)| a + b);
                    round.rate(taken.or(round.removed))
                })
            },
        ),
        latency: run
            .points
            .iter()
            .filter_map(|point| latency(run, point))
            .collect(),
        table: table::table(run),
    }
}

fn aims(run: &Run) -> Vec<AimView> {
    let each = run
        .points
        .iter()
        .flat_map(|point| point.aims.iter().map(move |aim| (point, aim)));
    let view = |(point, aim): (&PointResult, _)| AimView {
        point: point.name.clone(),
        text: told(aim).trim().to_owned(),
        tone: match aim.verdict {
            Verdict::Met => "good",
            Verdict::Unsure => "dim",
            Verdict::Missed => "bad",
        },
    };
    each.map(view).collect()
}

/// A side's colour is the same in all plots.
fn colour(run: &Run, side: &str) -> usize {
    run.sides
        .iter()
        .position(|one| one.name == side)
        .unwrap_or(0)
        % COLOURS
}

/// A plot for each row of points that differ in their working sets only.
fn over_working_sets(
    run: &Run,
    what: &str,
    label: fn(f64) -> String,
    number: impl Fn(&Series) -> Option<f64>,
) -> Vec<Plot> {
    let mut plots = Vec::new();
    for access in Access::ALL {
        for temperature in [Temperature::Cold, Temperature::Warm] {
            let row: Vec<&PointResult> = run
                .points
                .iter()
                .filter(|point| {
                    let work = &point.work;
                    (work.access, work.temperature) == (access, temperature)
                        && (work.pattern, work.threads) == (Pattern::Sequential, 1)
                        && (work.files.size, point.pins) == (4 << 20, Pins::None)
                })
                .collect();
            let lines = run.sides.iter().map(|side| {
                let at = |point: &&PointResult| {
                    let series = point.side(&side.name)?;
                    Some((point.times, number(series)?))
                };
                let mut points: Vec<_> = row.iter().filter_map(at).collect();
                points.sort_by(|a, b| a.0.total_cmp(&b.0));
                (side.name.clone(), colour(run, &side.name), points)
            });
            let title = format!(
                "{access}, in sequence, caches {}: {what}",
                temperature.name()
            );
            let scales = (
                Scale {
                    base: 2.0,
                    label: |times| format!("{times}"),
                },
                Scale { base: 10.0, label },
            );
            plots.extend(plot(title, "working set / window", scales, lines.collect()));
        }
    }
    plots
}

/// Which part of a point's accesses took longer than so long: both axes are logarithmic, so that the
/// rare ones are seen.
fn latency(run: &Run, point: &PointResult) -> Option<Plot> {
    let line = |series: &Series| {
        let curve = series.latency.curve.iter();
        let points = curve.map(|(percent, ns)| (*ns as f64, (100.0 - percent).max(0.005)));
        (
            series.side.clone(),
            colour(run, &series.side),
            points.collect(),
        )
    };
    let scales = (
        Scale {
            base: 10.0,
            label: quantity::time,
        },
        Scale {
            base: 10.0,
            label: |percent| format!("{percent} %"),
        },
    );
    let title = format!("{}: accesses that took longer than", point.name);
    plot(
        title,
        "latency of one access",
        scales,
        point.series.iter().map(line).collect(),
    )
}
