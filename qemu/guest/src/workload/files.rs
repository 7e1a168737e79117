// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A working set: the beginning of a row of files of one size.

use serde::{Deserialize, Serialize};

/// What Linux maps of a window at once (`FUSE_DAX_SZ`).
pub const RANGE: u64 = 2 << 20;

/// Files of one size, as many as the working set needs. Of the last one only a part may belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Files {
    /// Size of each: a power of two, 64 KiB at least.
    pub size: u64,
    /// Bytes of the working set: a multiple of 64 KiB.
    pub working: u64,
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub file: u64,
    pub at: u64,
}

impl Files {
    /// How many files there are.
    pub fn count(self) -> u64 {
        self.working.div_ceil(self.size)
    }

    /// Bytes of a file that belong to the working set.
    pub fn part(self, file: u64) -> u64 {
        self.working.saturating_sub(file * self.size).min(self.size)
    }

    /// Where a byte of the working set is.
    pub fn place(self, offset: u64) -> Place {
        Place {
            file: offset / self.size,
            at: offset % self.size,
        }
    }

    /// Bytes of a piece: what one range of a window can hold of a file.
    pub fn piece(self) -> u64 {
        self.size.min(RANGE).min(self.working)
    }

    /// How many ranges of a window the working set takes.
    pub fn ranges(self) -> u64 {
        (0..self.count())
            .map(|file| self.part(file).div_ceil(RANGE))
            .sum()
    }

    /// The folder of files of this size.
    pub fn folder(self) -> String {
        format!("of-{}", self.size)
    }

    /// A file's path below the share.
    pub fn path(self, file: u64) -> String {
        format!("{}/{file:05}", self.folder())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_working_set_is_the_beginning_of_its_files() {
        let large = Files {
            size: 256 << 20,
            working: 8 << 20,
        };
        assert_eq!(
            (large.count(), large.part(0), large.ranges()),
            (1, 8 << 20, 4)
        );
        let four = Files {
            size: 4 << 20,
            working: 6 << 20,
        };
        assert_eq!(
            (four.count(), four.part(0), four.part(1)),
            (2, 4 << 20, 2 << 20)
        );
        assert_eq!(
            four.place(5 << 20),
            Place {
                file: 1,
                at: 1 << 20
            }
        );
        // A small file has a range to itself.
        let small = Files {
            size: 64 << 10,
            working: 1 << 20,
        };
        assert_eq!(
            (small.count(), small.ranges(), small.piece()),
            (16, 16, 64 << 10)
        );
    }
}
