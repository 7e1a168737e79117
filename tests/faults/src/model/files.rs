// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's files, with every byte.

use std::sync::atomic::{AtomicUsize, Ordering};

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

    /// Drops all files, as a guest that starts again does. Their names are not reused.
    pub fn clear(&mut self) -> Vec<FileModel> {
        self.0.iter_mut().filter_map(Option::take).collect()
    }
}
