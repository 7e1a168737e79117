// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The expected content of the window.

use std::collections::BTreeMap;

use virtiofs_driver::{FileOffset, WindowOffset};

use super::FileId;

/// Bytes that Linux maps at a time.
pub const RANGE: u64 = 2 << 20;

/// A range of the window, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// The window offset.
    pub fn offset(self) -> WindowOffset {
        WindowOffset(self.0 * RANGE)
    }
}

/// The expected content of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// The file.
    pub file: FileId,
    /// The file offset.
    pub from: FileOffset,
}

/// The expected content of all slots.
#[derive(Debug, Clone, Default)]
pub struct WindowModel(pub BTreeMap<Slot, Shown>);

impl WindowModel {
    /// The slots that show a file.
    pub fn of(&self, file: FileId) -> Vec<Slot> {
        let those = self.0.iter().filter(|(_, shown)| shown.file == file);
        those.map(|(slot, _)| *slot).collect()
    }

    /// The window offset and the file offset of each mapping.
    pub fn table(&self) -> Vec<(WindowOffset, FileOffset)> {
        let all = self.0.iter();
        all.map(|(slot, shown)| (slot.offset(), shown.from))
            .collect()
    }
}
