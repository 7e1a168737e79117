// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The data of the template.

use std::collections::HashMap;

use serde::Serialize;

use super::{
    evidence::{self, Evidences},
    latencies::plots,
};
use crate::{
    Table,
    colour::Tone,
    lab::{
        CellKey, Run, Totals,
        grid::{Grid, Group, Row, groups},
        summary::{figures, summaries},
        terminal::labels,
    },
    page::Top,
    plot::Strips,
};

/// The whole page.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    #[serde(flatten)]
    top: Top<'a>,
    kernels: Vec<Kernel<'a>>,
    plots: Vec<Strips>,
    latencies: Table,
    evidence: Vec<Evidences<'a>>,
    legend: &'static [(&'static str, &'static str)],
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
    /// The file system and the number of its rows, in its first row only.
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

/// A word with a link to its evidence.
#[derive(Debug, Serialize)]
struct Link<'a> {
    target: String,
    text: String,
    tone: Tone,
    why: &'a str,
}

/// The places of the evidence, by case and kernel.
type Places<'a> = HashMap<CellKey<'a>, usize>;

/// Makes the data of the page.
pub fn view<'a>(run: &'a Run, summary: &'a str) -> View<'a> {
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
        top: Top {
            title: "daxlab",
            version: &run.lab_version,
            summary,
            state,
            command: &run.command,
            lines: lines(run),
        },
        plots: plots(run, &kernels),
        latencies: figures(&summaries(run)),
        evidence: (0..)
            .zip(&groups)
            .map(|(at, group)| evidence::evidences(at, group))
            .collect(),
        kernels: kernels
            .into_iter()
            .map(|label| kernel(run, label, &groups, &places))
            .collect(),
        legend: labels::LEGEND,
    }
}

fn lines(run: &Run) -> Vec<(&'static str, String)> {
    let host = &run.host;
    let machine = format!("{} CPUs ({}), Linux {}", host.cores, host.cpu, host.kernel);
    let mut lines = vec![
        ("started", run.started.clone()),
        ("host", machine),
        ("guests", format!("QEMU {}, {}", host.qemu, host.accel)),
    ];
    lines.extend(run.shard.map(|shard| ("shard", shard.to_string())));
    lines
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
        text: labels::text(group),
        tone: labels::tone(worst),
        why: &worst.why,
    }
}

/// The anchor of a group's evidence.
pub fn anchor(at: usize) -> String {
    format!("g{at}")
}
