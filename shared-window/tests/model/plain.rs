// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The plain model: a list of ranges, searched from end to end, and the bytes of the files.

use shared_window::Access;

use super::action::Action;

/// Pages of the window.
pub(crate) const PAGES: u64 = 16;
/// How many files there are.
pub(crate) const FILES: usize = 3;
/// Pages of each file.
pub(crate) const FILE_PAGES: u64 = 16;

/// A mapping, in pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Range {
    pub(crate) at: u64,
    pub(crate) pages: u64,
    pub(crate) file: usize,
    pub(crate) from: u64,
    /// Whether the VMM is known to have it.
    pub(crate) known: bool,
}

/// What a request should come to when nothing fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) errno: Option<i32>,
    pub(crate) ranges: Vec<Range>,
}

/// What should be mapped, and what the files hold (one byte stands for a page).
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    pub(crate) ranges: Vec<Range>,
    pub(crate) bytes: [[u8; FILE_PAGES as usize]; FILES],
}

impl Range {
    pub(crate) fn end(self) -> u64 {
        self.at + self.pages
    }

    pub(crate) fn touches(self, at: u64, end: u64) -> bool {
        self.at < end && at < self.end()
    }
}

impl Plain {
    pub(crate) fn new() -> Self {
        let mut bytes = [[0; FILE_PAGES as usize]; FILES];
        for (file, pages) in bytes.iter_mut().enumerate() {
            for (page, byte) in pages.iter_mut().enumerate() {
                *byte = (file * 50 + page) as u8;
            }
        }
        Self {
            ranges: Vec::new(),
            bytes,
        }
    }

    /// The mapping that shows a page of the window for certain, and the page of the file there.
    pub(crate) fn shown(&self, page: u64) -> Option<(usize, u64)> {
        self.ranges
            .iter()
            .find(|range| range.known && range.touches(page, page + 1))
            .map(|range| (range.file, range.from + page - range.at))
    }

    /// What a request should come to when nothing fails. The unknown ranges that are in its way
    /// can be unmapped then.
    pub(crate) fn expect(&self, action: &Action, no_region: bool) -> Expected {
        match action {
            Action::Setup {
                at,
                pages,
                file,
                from,
                skew,
                access: Access::ReadOnly | Access::ReadWrite,
            } => {
                let asked = Range {
                    at: *at,
                    pages: *pages,
                    file: *file,
                    from: *from,
                    known: true,
                };
                match skew {
                    0 => self.expect_setup(asked, no_region),
                    _ => self.unchanged(Some(libc::EINVAL)),
                }
            }
            Action::Remove(removals) => self.expect_remove(removals),
            Action::Clear => Expected {
                errno: None,
                ranges: Vec::new(),
            },
            Action::Store { .. } => self.unchanged(None),
        }
    }

    fn unchanged(&self, errno: Option<i32>) -> Expected {
        Expected {
            errno,
            ranges: self.ranges.clone(),
        }
    }

    fn expect_setup(&self, asked: Range, no_region: bool) -> Expected {
        if asked.pages == 0 || asked.end() > PAGES {
            return self.unchanged(Some(libc::EINVAL));
        }
        let met = |range: &&Range| range.touches(asked.at, asked.end());
        if self.ranges.contains(&asked) {
            return self.unchanged(None);
        }
        let same_place = |range: &Range| (range.at, range.pages) == (asked.at, asked.pages);
        if self
            .ranges
            .iter()
            .filter(met)
            .any(|range| range.known && !same_place(range))
        {
            return self.unchanged(Some(libc::EBUSY));
        }
        let mut ranges: Vec<_> = self
            .ranges
            .iter()
            .filter(|range| !met(range))
            .copied()
            .collect();
        if no_region {
            return Expected {
                errno: Some(libc::ENOBUFS),
                ranges,
            };
        }
        ranges.push(asked);
        ranges.sort();
        Expected {
            errno: None,
            ranges,
        }
    }

    fn expect_remove(&self, removals: &[(u64, u64)]) -> Expected {
        let mut ranges = self.ranges.clone();
        let mut errno = None;
        for (at, pages) in removals {
            let end = at + pages;
            let (met, rest): (Vec<Range>, Vec<Range>) =
                ranges.iter().partition(|range| range.touches(*at, end));
            let whole = met
                .iter()
                .all(|range| *at <= range.at && range.end() <= end);
            if *pages == 0 || end > PAGES || met.is_empty() || !whole {
                errno = Some(libc::EINVAL);
            } else {
                ranges = rest;
            }
        }
        Expected { errno, ranges }
    }
}
