// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the template shows.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    evidence::{self, Evidences},
    latencies::{Latency, latencies},
    plot::{self, Plot},
};
use crate::{
    grid::{Grid, Row},
    groups::{Group, groups},
    model::{Cell, CellKey, Run, Totals},
    pretty::words::{self, Tone},
};

/// The whole page.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    style: &'static str,
    run: &'a Run,
    shard: Option<String>,
    summary: String,
    state: &'static str,
    kernels: Vec<Kernel<'a>>,
    plots: Vec<Plot>,
    latencies: Vec<Latency<'a>>,
    evidence: Vec<Evidences<'a>>,
    legend: [(&'static str, &'static str); 10],
}

/// One kernel's part of the page.
#[derive(Debug, Serialize)]
struct Kernel<'a> {
    label: &'a str,
    release: &'a str,
    totals: String,
    removals: Vec<&'a str>,
    rows: Vec<Line<'a>>,
    named: Vec<Named<'a>>,
}

/// A row of the matrix.
#[derive(Debug, Serialize)]
struct Line<'a> {
    /// The file system, and over how many rows it stands; only at the first of them.
    fs: Option<(&'a str, usize)>,
    pin: &'a str,
    cells: Vec<Option<Link<'a>>>,
}

/// A named case.
#[derive(Debug, Serialize)]
struct Named<'a> {
    case: &'a str,
    link: Link<'a>,
}

/// A word that leads to its evidence.
#[derive(Debug, Serialize)]
struct Link<'a> {
    target: String,
    text: String,
    tone: &'static str,
    why: &'a str,
}

/// The places of the evidence, by case and kernel.
type Places<'a> = HashMap<CellKey<'a>, usize>;

/// Makes the page's data.
pub fn view(run: &Run) -> View<'_> {
    let groups = groups(&run.cells);
    let places = (0..).zip(&groups).map(|(at, group)| (group.key, at));
    let places = places.collect();
    let totals = run.totals();
    let state = if totals.failed + totals.lab_errors > 0 {
        "bad"
    } else {
        "good"
    };
    let kernels = run.kernels();
    View {
        style: super::STYLE,
        run,
        shard: run.shard.map(|shard| shard.to_string()),
        summary: totals.to_string(),
        state,
        plots: plot::plots(run, &kernels),
        latencies: latencies(run),
        evidence: (0..)
            .zip(&groups)
            .map(|(at, group)| evidence::evidences(at, group))
            .collect(),
        kernels: kernels
            .into_iter()
            .map(|label| kernel(run, label, &groups, &places))
            .collect(),
        legend: words::LEGEND,
    }
}

fn kernel<'a>(
    run: &'a Run,
    label: &'a str,
    groups: &[Group<'a>],
    places: &Places<'a>,
) -> Kernel<'a> {
    let cells = run.cells.iter().filter(|cell| cell.kernel == label);
    let grid = Grid::new(cells.clone());
    let mut releases = cells.clone().map(|cell| cell.release.as_str());
    let mut rows = Vec::new();
    for (place, row) in grid.rows.iter().enumerate() {
        let first = place == 0 || grid.rows[place - 1].fs != row.fs;
        let of_system = grid.rows.iter().filter(|other| other.fs == row.fs);
        rows.push(Line {
            fs: first.then(|| (row.fs, of_system.count())),
            pin: row.pin,
            cells: line(&grid, label, *row, places),
        });
    }
    let named = groups
        .iter()
        .filter(|group| group.key.kernel == label && group.worst().place().is_none())
        .map(|group| Named {
            case: group.key.case,
            link: link(group, places),
        });
    Kernel {
        label,
        release: releases.find(|release| !release.is_empty()).unwrap_or(""),
        totals: Totals::of(cells).to_string(),
        removals: grid.removals.clone(),
        rows,
        named: named.collect(),
    }
}

fn line<'a>(
    grid: &Grid<'a>,
    kernel: &'a str,
    row: Row<'a>,
    places: &Places<'a>,
) -> Vec<Option<Link<'a>>> {
    let removals = grid.removals.iter();
    let groups = removals.map(|removal| grid.at(kernel, row, removal));
    groups
        .map(|group| group.map(|group| link(group, places)))
        .collect()
}

fn link<'a>(group: &Group<'a>, places: &Places<'a>) -> Link<'a> {
    let worst = group.worst();
    let at = places.get(&group.key).copied().unwrap_or(0);
    Link {
        target: anchor(at),
        text: words::text(group),
        tone: tone(worst),
        why: &worst.why,
    }
}

/// Where a group's evidence stands in the page.
pub fn anchor(at: usize) -> String {
    format!("g{at}")
}

/// The class of a cell.
pub fn tone(cell: &Cell) -> &'static str {
    match Tone::of(cell) {
        Tone::Good => "good",
        Tone::Known => "known",
        Tone::Bad => "bad",
        Tone::Lab => "lab",
        Tone::Dim => "dim",
    }
}
