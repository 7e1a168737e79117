// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The expected files and window after the steps so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use virtiofs_driver::{FileOffset, WindowOffset};
use virtiofs_driver::{Handle, NodeId};

/// A file of the model. Numbers are not reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub usize);

/// One file, which the guest has open.
#[derive(Debug, Clone)]
pub struct FileModel {
    /// Its name in the share.
    pub name: String,
    /// Its node.
    pub node: NodeId,
    /// The handle of the open file.
    pub handle: Handle,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl FileModel {
    /// Writes bytes at `at`; the file grows if necessary.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
    }
}

/// The files of the model.
#[derive(Debug, Default)]
pub struct Files(Vec<Option<FileModel>>);

impl Files {
    /// Adds a file.
    pub fn add(&mut self, file: FileModel) -> FileId {
        self.0.push(Some(file));
        FileId(self.0.len() - 1)
    }

    /// A name that no file of this process has had in any share.
    pub fn new_name() -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        format!("file-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// A file.
    ///
    /// # Panics
    /// If it was removed.
    pub fn get(&self, id: FileId) -> &FileModel {
        self.0[id.0].as_ref().expect("a file that is there")
    }

    /// A file, for changes.
    ///
    /// # Panics
    /// If it was removed.
    pub fn get_mut(&mut self, id: FileId) -> &mut FileModel {
        self.0[id.0].as_mut().expect("a file that is there")
    }

    /// All of them.
    pub fn ids(&self) -> Vec<FileId> {
        let there = self.0.iter().enumerate().filter(|(_, one)| one.is_some());
        there.map(|(id, _)| FileId(id)).collect()
    }

    /// Drops a file.
    pub fn remove(&mut self, id: FileId) -> Option<FileModel> {
        self.0[id.0].take()
    }
}

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
