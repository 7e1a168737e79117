// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files as the guest knows them, with every byte.

use std::sync::atomic::{AtomicUsize, Ordering};

use virtiofs_driver::{Handle, NodeId};

/// A file of the model; numbers are not used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub usize);

/// One file, which the guest has open.
#[derive(Debug, Clone)]
pub struct FileModel {
    /// Its name in the share.
    pub name: String,
    /// What the daemon calls it.
    pub node: NodeId,
    /// What the daemon calls the open file.
    pub handle: Handle,
    /// Its content.
    pub bytes: Vec<u8>,
}

impl FileModel {
    /// Puts bytes at `at`; the file grows as it must.
    pub fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
    }
}

/// The files that there are.
#[derive(Debug, Default)]
pub struct Files(Vec<Option<FileModel>>);

impl Files {
    /// A new file.
    pub fn add(&mut self, file: FileModel) -> FileId {
        self.0.push(Some(file));
        FileId(self.0.len() - 1)
    }

    /// A name that no file of this process has had, in whatever share.
    pub fn new_name() -> String {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        format!("file-{}", NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// One of them.
    ///
    /// # Panics
    /// If it was removed.
    pub fn get(&self, id: FileId) -> &FileModel {
        self.0[id.0].as_ref().expect("a file that is there")
    }

    /// One of them, to be changed.
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

    /// Forgets one.
    pub fn remove(&mut self, id: FileId) -> Option<FileModel> {
        self.0[id.0].take()
    }

    /// Forgets all, as a guest that starts anew; the names are not used again.
    pub fn clear(&mut self) -> Vec<FileModel> {
        self.0.iter_mut().filter_map(Option::take).collect()
    }
}
