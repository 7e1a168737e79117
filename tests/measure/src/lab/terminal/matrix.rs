// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The matrix: one table with a column for each removal and kernel if that fits, otherwise one
//! table for each kernel.

use super::{
    labels,
    table::{Column, Table, WIDTH},
};
use crate::{
    Colour,
    lab::{
        Run,
        grid::{Grid, Row},
    },
    text,
};

/// The width of a column's head.
const HEAD_WIDTH: usize = 6;
/// The lines of a head. A longer name is cut, and appears in full in the lists below the matrix.
const LINES: usize = 4;

/// Words that are longer than a head, and can be shortened without becoming another word.
const SHORT: [(&str, &str); 12] = [
    ("allocate", "alloc"),
    ("collapse", "collap"),
    ("eviction", "evict"),
    ("exchange", "exchg"),
    ("fallocate", "falloc"),
    ("pressure", "press"),
    ("reclaim", "reclm"),
    ("reclaimed", "reclmd"),
    ("reflink", "reflnk"),
    ("release", "releas"),
    ("replace", "replac"),
    ("truncate", "trunc"),
];

/// The lines of a removal's head. Words that don't fit together get a line each.
pub fn head(removal: &str) -> Vec<String> {
    let words: Vec<_> = removal
        .split(['-', '_', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| match SHORT.iter().find(|(long, _)| *long == word) {
            Some((_, short)) => short,
            None => word,
        })
        .collect();
    let mut lines = text::wrap(&words.join(" "), HEAD_WIDTH);
    lines.truncate(LINES);
    lines
}

/// Appends the matrix.
pub fn matrix(run: &Run, colour: Colour, out: &mut String) {
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
        together.render(colour, out);
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
        table(&grid, &[kernel]).render(colour, out);
    }
}

/// A kernel's label, with its release if that is known.
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
                Some((labels::text(group), labels::tone(group.worst())))
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::lab::fixture::REMOVALS;

    #[test]
    fn heads_are_short_and_differ() {
        let heads: HashSet<_> = REMOVALS.iter().map(|removal| head(removal)).collect();
        assert_eq!(heads.len(), REMOVALS.len());
        assert!(heads.iter().all(|head| head.len() <= 3), "{heads:?}");
        assert_eq!(head("truncate-mid"), ["trunc", "mid"]);
        assert_eq!(head("o-trunc"), ["o", "trunc"]);
        assert_eq!(head("host-daemon-killed"), ["host", "daemon", "killed"]);
    }
}
