// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the window has to show.

use std::collections::BTreeMap;

use virtiofs_driver::{FileOffset, WindowOffset};

use super::FileId;

/// Bytes that Linux maps at a time.
pub const RANGE: u64 = 2 << 20;

/// A range of the window, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// Where it begins.
    pub fn offset(self) -> WindowOffset {
        WindowOffset(self.0 * RANGE)
    }
}

/// What is in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Which file.
    pub file: FileId,
    /// From where on.
    pub from: FileOffset,
}

/// What is in all of them.
#[derive(Debug, Clone, Default)]
pub struct WindowModel(pub BTreeMap<Slot, Shown>);

impl WindowModel {
    /// The slots that show a file.
    pub fn of(&self, file: FileId) -> Vec<Slot> {
        let those = self.0.iter().filter(|(_, shown)| shown.file == file);
        those.map(|(slot, _)| *slot).collect()
    }

    /// Where mappings begin, and from where on they show their file.
    pub fn table(&self) -> Vec<(WindowOffset, FileOffset)> {
        let all = self.0.iter();
        all.map(|(slot, shown)| (slot.offset(), shown.from))
            .collect()
    }
}
