// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The live mappings, and the daemon's violations of the rules.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use crate::units::{FileOffset, WindowOffset};

/// A live mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    /// The window offset.
    pub at: WindowOffset,
    /// Its length in bytes.
    pub len: u64,
    /// The file offset.
    pub from: FileOffset,
    /// Whether the daemon asked for a writable mapping.
    pub writable: bool,
    /// The file that the daemon sent: the file itself, or a view of it.
    pub file: Arc<File>,
}

impl Mapping {
    /// The offset behind its last byte.
    pub fn end(&self) -> u64 {
        self.at.0 + self.len
    }
}

/// A request that the VMM refuses, or that ends the VMM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A mapping over a live one.
    Overlap {
        /// The offset of the new mapping.
        at: WindowOffset,
        /// Its length in bytes.
        len: u64,
    },
    /// An unmapping that does not match one mapping exactly.
    Unmatched {
        /// The offset of the range.
        at: WindowOffset,
        /// Its length in bytes.
        len: u64,
    },
    /// A range outside the window, or of another shared memory region.
    Outside {
        /// The offset of the range.
        at: WindowOffset,
        /// Its length in bytes.
        len: u64,
    },
    /// The file is too small for the mapping.
    TooSmall {
        /// Bytes of the file.
        size: u64,
        /// Bytes that the mapping needs.
        needed: u64,
    },
    /// The file can't be mapped in the requested way; the errno.
    NotMappable(i32),
    /// More memory regions than the VM supports.
    TooManyRegions {
        /// The number of regions that there would be.
        regions: usize,
    },
    /// A request while the device was stopped, which crashes QEMU.
    WhileStopped,
}

/// The live mappings by window offset.
#[derive(Debug, Default)]
pub(super) struct Table(BTreeMap<u64, Mapping>);

impl Table {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn all(&self) -> Vec<Mapping> {
        self.0.values().cloned().collect()
    }

    /// The mapping that contains `at`.
    pub(super) fn find(&self, at: u64) -> Option<&Mapping> {
        let (_, mapping) = self.0.range(..=at).next_back()?;
        (mapping.end() > at).then_some(mapping)
    }

    /// The mappings that overlap this range.
    pub(super) fn within(&self, at: u64, len: u64) -> impl Iterator<Item = &Mapping> {
        let first = self.find(at).map_or(at, |mapping| mapping.at.0);
        self.0.range(first..at + len).map(|(_, mapping)| mapping)
    }

    /// Whether a mapping has exactly this range.
    pub(super) fn is_exact(&self, at: u64, len: u64) -> bool {
        self.0.get(&at).is_some_and(|mapping| mapping.len == len)
    }

    pub(super) fn insert(&mut self, mapping: Mapping) {
        self.0.insert(mapping.at.0, mapping);
    }

    /// Removes all mappings in this range, and cuts mappings that reach into it. Returns the
    /// mappings that are gone and those that are new.
    pub(super) fn remove(&mut self, at: u64, len: u64) -> (Vec<Mapping>, Vec<Mapping>) {
        let gone: Vec<_> = self.within(at, len).cloned().collect();
        let mut rest = Vec::new();
        for mapping in &gone {
            self.0.remove(&mapping.at.0);
            if mapping.at.0 < at {
                let len = at - mapping.at.0;
                rest.push(Mapping {
                    len,
                    ..mapping.clone()
                });
            }
            if mapping.end() > at + len {
                let cut = at + len - mapping.at.0;
                rest.push(Mapping {
                    at: WindowOffset(at + len),
                    len: mapping.len - cut,
                    from: FileOffset(mapping.from.0 + cut),
                    ..mapping.clone()
                });
            }
        }
        for mapping in &rest {
            self.insert(mapping.clone());
        }
        (gone, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mapping, Table};
    use crate::units::{FileOffset, WindowOffset};
    use std::sync::Arc;

    fn table(ranges: &[(u64, u64)]) -> Table {
        let file = Arc::new(tempfile::tempfile().expect("a file"));
        let mut table = Table::default();
        for (at, len) in ranges {
            table.insert(Mapping {
                at: WindowOffset(*at),
                len: *len,
                from: FileOffset(100 + at),
                writable: true,
                file: Arc::clone(&file),
            });
        }
        table
    }

    fn ranges(mappings: &[Mapping]) -> Vec<(u64, u64, u64)> {
        let parts = mappings.iter().map(|one| (one.at.0, one.len, one.from.0));
        parts.collect()
    }

    #[test]
    fn neighbours_do_not_overlap() {
        let table = table(&[(0, 10), (20, 10)]);
        assert_eq!(table.within(10, 10).count(), 0);
        assert_eq!(table.within(9, 12).count(), 2);
        assert_eq!(table.within(25, 1).count(), 1);
        assert!(table.find(10).is_none());
        assert!(table.is_exact(20, 10) && !table.is_exact(20, 9));
    }

    #[test]
    fn a_removal_cuts_what_reaches_into_it() {
        let mut table = table(&[(0, 10), (10, 10), (20, 10)]);
        let (gone, rest) = table.remove(5, 20);
        assert_eq!(gone.len(), 3);
        assert_eq!(ranges(&rest), [(0, 5, 100), (25, 5, 125)]);
        assert_eq!(ranges(&table.all()), ranges(&rest));
    }
}
