// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Names of files, as far as the kernel knows them.
//!
//! A file's name is read from its descriptor's link in `/proc/self/fd` while it is opened for the
//! window. It is for people to read: the file may have had other names, and may get others.

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use crate::node::{NodeCache, NodeId};

/// Names kept: one for each range of the largest window and for each view that is kept.
const KEPT: NonZeroUsize = NonZeroUsize::new((1 << 15) + 128).unwrap();

/// The names of files that were opened for the window.
pub struct Names {
    /// `/proc/self/fd` of the serving process.
    links: File,
    known: NodeCache<Arc<str>>,
}

impl Names {
    /// Names are read from the links in `links`, which is `/proc/self/fd`.
    #[must_use]
    pub fn new(links: File) -> Self {
        Self {
            links,
            known: NodeCache::new(KEPT),
        }
    }

    /// Notes the name of an open file.
    pub(crate) fn note(&self, node: NodeId, file: BorrowedFd<'_>) {
        if let Ok(name) = self.read(file) {
            self.known.put(node, name);
        }
    }

    /// The name of a file, if it is known.
    pub(crate) fn of(&self, node: NodeId) -> Option<Arc<str>> {
        self.known.get(node)
    }

    fn read(&self, file: BorrowedFd<'_>) -> io::Result<Arc<str>> {
        let link = file.as_raw_fd().to_string();
        let name = rustix::fs::readlinkat(self.links.as_fd(), link, Vec::new())?;
        Ok(name.to_string_lossy().into())
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use super::{Names, NodeId};

    #[test]
    fn a_name_is_the_one_that_the_file_was_opened_by() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a <name>");
        let file = File::create(&path).unwrap();
        let names = Names::new(File::open("/proc/self/fd").unwrap());
        names.note(NodeId(3), file.as_fd());
        assert_eq!(names.of(NodeId(3)).as_deref(), path.to_str());
        assert_eq!(names.of(NodeId(4)), None);
    }
}
