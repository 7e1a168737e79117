// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Groups of cells: the repetitions of a case, and the matrix of file systems and pins against
//! removals.

use std::collections::HashMap;

use super::{Cell, CellKey, Verdict};

/// All repetitions of a case on one kernel; never empty.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    pub key: CellKey<'a>,
    /// In the order of the run.
    pub cells: Vec<&'a Cell>,
}

impl<'a> Group<'a> {
    /// The first cell with the worst verdict, which a reader should look at first.
    pub fn worst(&self) -> &'a Cell {
        let first = self.cells[0];
        self.cells[1..].iter().fold(first, |worst, cell| {
            if cell.verdict > worst.verdict {
                cell
            } else {
                worst
            }
        })
    }

    /// The worst verdict.
    pub fn verdict(&self) -> Verdict {
        self.worst().verdict
    }

    /// How many cells ended like the worst one.
    pub fn like_the_worst(&self) -> usize {
        let worst = self.worst();
        let alike = |cell: &&&Cell| cell.verdict == worst.verdict && cell.outcome == worst.outcome;
        self.cells.iter().filter(alike).count()
    }
}

/// Groups cells by their key, in the order of each group's first cell.
pub fn groups<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Group<'a>> {
    grouped(cells, Cell::key)
        .into_iter()
        .map(|(key, cells)| Group { key, cells })
        .collect()
}

/// Groups cells by any key, in the order of each group's first cell.
pub fn grouped<'a, K: Copy + Eq + std::hash::Hash>(
    cells: impl IntoIterator<Item = &'a Cell>,
    key: impl Fn(&'a Cell) -> K,
) -> Vec<(K, Vec<&'a Cell>)> {
    let mut places = HashMap::new();
    let mut groups: Vec<(K, Vec<&Cell>)> = Vec::new();
    for cell in cells {
        let key = key(cell);
        let place = *places.entry(key).or_insert(groups.len());
        if place == groups.len() {
            groups.push((key, Vec::new()));
        }
        groups[place].1.push(cell);
    }
    groups
}

/// A row: a pin on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row<'a> {
    pub fs: &'a str,
    pub pin: &'a str,
}

/// The cells of the matrix.
#[derive(Debug)]
pub struct Grid<'a> {
    /// Rows of one file system are together; otherwise in the order of their first cells.
    pub rows: Vec<Row<'a>>,
    /// The columns, in the order of their first cells.
    pub removals: Vec<&'a str>,
    groups: HashMap<(&'a str, Row<'a>, &'a str), Group<'a>>,
}

impl<'a> Grid<'a> {
    /// Leaves out the named cases.
    pub fn new(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let placed = cells.into_iter().filter(|cell| cell.place().is_some());
        let place = |cell: &'a Cell| {
            let (pin, removal) = cell.place()?;
            let row = Row { fs: &cell.fs, pin };
            Some((cell.kernel.as_str(), row, removal))
        };
        let mut grid = Self {
            rows: Vec::new(),
            removals: Vec::new(),
            groups: HashMap::new(),
        };
        for (place, cells) in grouped(placed, place) {
            let Some((kernel, row, removal)) = place else {
                continue;
            };
            if !grid.rows.contains(&row) {
                grid.rows.push(row);
            }
            if !grid.removals.contains(&removal) {
                grid.removals.push(removal);
            }
            let key = cells[0].key();
            let group = Group { key, cells };
            grid.groups.insert((kernel, row, removal), group);
        }
        let mut systems = Vec::new();
        for row in &grid.rows {
            if !systems.contains(&row.fs) {
                systems.push(row.fs);
            }
        }
        let place = |row: &Row<'_>| systems.iter().position(|fs| *fs == row.fs);
        grid.rows.sort_by_key(place);
        grid
    }

    /// The group at a place of the matrix.
    pub fn at(&self, kernel: &'a str, row: Row<'a>, removal: &'a str) -> Option<&Group<'a>> {
        self.groups.get(&(kernel, row, removal))
    }

    /// Whether the matrix has no cell.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fixture::waited;

    #[test]
    fn rows_of_a_file_system_stay_together() {
        let cells = [
            waited("k", "fuse", "dio", "punch"),
            waited("k", "xfs", "dio", "truncate"),
            waited("k", "fuse", "aio", "truncate"),
        ];
        let grid = Grid::new(&cells);
        let rows: Vec<_> = grid.rows.iter().map(|row| (row.fs, row.pin)).collect();
        assert_eq!(rows, [("fuse", "dio"), ("fuse", "aio"), ("xfs", "dio")]);
        assert_eq!(grid.removals, ["punch", "truncate"]);
        assert!(grid.at("k", grid.rows[1], "punch").is_none());
        assert!(grid.at("k", grid.rows[1], "truncate").is_some());
    }
}
