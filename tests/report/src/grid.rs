// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The matrix: file systems and pins against removals.

use std::collections::HashMap;

use super::{
    groups::{self, Group},
    model::Cell,
};

/// A row: a pin on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row<'a> {
    /// The file system.
    pub fs: &'a str,
    /// The pin.
    pub pin: &'a str,
}

/// The cells that have a place in the matrix.
#[derive(Debug)]
pub struct Grid<'a> {
    /// Those of a file system together; else in the order of their first cells.
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
        for (place, cells) in groups::grouped(placed, place) {
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

    /// What stands at a place.
    pub fn at(&self, kernel: &'a str, row: Row<'a>, removal: &'a str) -> Option<&Group<'a>> {
        self.groups.get(&(kernel, row, removal))
    }

    /// Whether no cell has a place.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::waited;

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
