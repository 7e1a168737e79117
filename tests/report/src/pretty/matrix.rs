// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The matrix: one table with a column for each removal and kernel where that fits, else one table
//! for each kernel.

use super::{
    head::head,
    paint::Paint,
    table::{Column, Table, WIDTH},
    words::{self, Tone},
};
use crate::{
    grid::{Grid, Row},
    model::Run,
    text,
};

/// Appends it.
pub fn matrix(run: &Run, paint: Paint, out: &mut String) {
    let kernels = run.kernels();
    let grid = Grid::new(&run.cells);
    if grid.is_empty() {
        return;
    }
    let together = table(&grid, &kernels);
    if kernels.len() > 1 && together.fits() {
        out.push('\n');
        for (kernel, letter) in kernels.iter().zip('A'..='Z') {
            let line = format!("{letter}  {}", label(run, kernel));
            out.push_str(&text::clip(&line, WIDTH));
            out.push('\n');
        }
        out.push('\n');
        together.render(paint, out);
        return;
    }
    for kernel in kernels {
        let cells = run.cells.iter().filter(|cell| cell.kernel == kernel);
        let grid = Grid::new(cells);
        if grid.is_empty() {
            continue;
        }
        let label = text::clip(&label(run, kernel), WIDTH);
        out.push_str(&format!("\n{label}\n\n"));
        table(&grid, &[kernel]).render(paint, out);
    }
}

/// A kernel's label, with its release where that is known.
pub fn label(run: &Run, kernel: &str) -> String {
    let of_kernel = run.cells.iter().filter(|cell| cell.kernel == kernel);
    let mut releases = of_kernel.map(|cell| cell.release.as_str());
    match releases.find(|release| !release.is_empty()) {
        Some(release) => format!("{kernel} ({release})"),
        None => kernel.to_owned(),
    }
}

fn table(grid: &Grid<'_>, kernels: &[&str]) -> Table {
    let mut columns = Vec::new();
    for removal in &grid.removals {
        for (place, (kernel, letter)) in kernels.iter().zip('A'..='Z').enumerate() {
            let mut lines = if place == 0 { head(removal) } else { vec![] };
            if kernels.len() > 1 {
                lines.push(letter.to_string());
            }
            let entries = grid.rows.iter().map(|row| {
                let group = grid.at(kernel, *row, removal)?;
                Some((words::text(group), Tone::of(group.worst())))
            });
            columns.push(Column {
                head: lines,
                apart: kernels.len() > 1 && place == 0,
                entries: entries.collect(),
            });
        }
    }
    let system = |row: &Row<'_>| text::clip(row.fs, 10);
    let systems = grid.rows.iter().map(|row| text::width(&system(row)));
    let wide = systems.max().unwrap_or(0);
    let rows = grid.rows.iter().map(|row| {
        let system = system(row);
        let gap = wide - text::width(&system) + 1;
        format!("{system}{:gap$}{}", "", text::one_line(row.pin))
    });
    Table {
        rows: rows.collect(),
        columns,
    }
}
