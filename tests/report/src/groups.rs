// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The repetitions of a cell, taken together.

use std::collections::HashMap;

use super::model::{Cell, CellKey, Verdict};

/// All repetitions of one case on one kernel; never empty.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// What they have in common.
    pub key: CellKey<'a>,
    /// In the order of the run.
    pub cells: Vec<&'a Cell>,
}

impl<'a> Group<'a> {
    /// The first of those with the worst verdict: a reader looks at this one first.
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

    /// How many ended as the worst did.
    pub fn like_the_worst(&self) -> usize {
        let worst = self.worst();
        let alike = |cell: &&&Cell| cell.verdict == worst.verdict && cell.outcome == worst.outcome;
        self.cells.iter().filter(alike).count()
    }
}

/// Groups cells by their key, in the order of the first of each.
pub fn groups<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<Group<'a>> {
    grouped(cells, Cell::key)
        .into_iter()
        .map(|(key, cells)| Group { key, cells })
        .collect()
}

/// Groups by any key, in the order of the first of each.
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
