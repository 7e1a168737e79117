// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What pages hold, and what steps do to it.

use guest_agent::removals::RangeMode;

use super::Model;
use crate::program::{Act, Actor, FileId};

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A page of a pattern.
    Pattern {
        /// The pattern's seed.
        seed: u64,
        /// The page of the pattern.
        page: u64,
    },
    /// What a server has sent to the pin of this number.
    Sent(u32),
    /// Zeros.
    Zeros,
    /// One of several things.
    Unknown,
}

impl Content {
    /// What a file begins with.
    pub(super) fn first(file: u8, page: u64) -> Self {
        Self::Pattern {
            seed: Self::seed(FileId(file)),
            page,
        }
    }

    /// The seed of the pattern that a file begins with.
    pub(crate) fn seed(file: FileId) -> u64 {
        0xf11e_0000 + u64::from(file.0)
    }

    fn follows(self, before: Self) -> bool {
        match (before, self) {
            (
                Self::Pattern { seed, page },
                Self::Pattern {
                    seed: next,
                    page: at,
                },
            ) => seed == next && page + 1 == at,
            (Self::Zeros, Self::Zeros) | (Self::Unknown, Self::Unknown) => true,
            _ => false,
        }
    }
}

/// Pages of a file in a row that hold parts of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first page.
    pub page: u64,
    /// How many.
    pub count: u64,
    /// What the first page holds.
    pub content: Content,
}

impl Model {
    /// All that is known of a file's content.
    pub(crate) fn runs(&self, file: FileId) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut before = None;
        for (page, &content) in (0..).zip(&self.file(file).pages) {
            let follows = before.is_some_and(|before| content.follows(before));
            match runs.last_mut() {
                Some(run) if follows => run.count += 1,
                _ => runs.push(Run {
                    page,
                    count: 1,
                    content,
                }),
            }
            before = Some(content);
        }
        runs.retain(|run| run.content != Content::Unknown);
        runs
    }

    /// What a page holds.
    pub(crate) fn content(&self, file: FileId, page: u64) -> Content {
        let found = self.file(file).pages.get(page as usize);
        found.copied().unwrap_or(Content::Unknown)
    }

    /// What a step changes becomes unknown: it may have been done.
    pub(super) fn blur(&mut self, act: Act) {
        let Some((file, from, to)) = changed(act) else {
            return;
        };
        self.fill(file, from, to, |_| Content::Unknown);
    }

    pub(super) fn fill(
        &mut self,
        file: FileId,
        from: u64,
        to: u64,
        content: impl Fn(u64) -> Content,
    ) {
        let pages = &mut self.file_mut(file).pages;
        let to = to.min(pages.len() as u64);
        for page in from..to {
            pages[page as usize] = content(page);
        }
    }

    /// Does what a step does.
    pub(super) fn done(&mut self, actor: Option<Actor>, act: Act) {
        self.changes(act);
        match act {
            Act::Truncate { file, pages } => {
                let file = self.file_mut(file);
                file.pages.resize(pages as usize, Content::Zeros);
                file.shared.retain(|page| *page < pages);
            }
            Act::OpenTruncate { file } => {
                let file = self.file_mut(file);
                file.pages.clear();
                file.shared.clear();
            }
            Act::Range {
                file,
                mode: RangeMode::Punch | RangeMode::Zero,
                page,
                count,
            } => self.fill(file, page, page + count, |_| Content::Zeros),
            Act::Range {
                file,
                mode: RangeMode::Collapse,
                page,
                count,
            } => self.collapse(file, page, count),
            Act::Copy {
                file,
                from,
                page,
                count,
            } => self.copy(file, from, page, count),
            Act::Write { file, page, count } => {
                self.writes += 1;
                let seed = Self::write_seed(self.writes);
                self.fill(file, page, page + count, |page| Content::Pattern {
                    seed,
                    page,
                });
            }
            _ => self.moved(actor, act),
        }
    }

    /// The seed of the next write.
    pub(crate) fn next_seed(&self) -> u64 {
        Self::write_seed(self.writes + 1)
    }

    fn write_seed(number: u64) -> u64 {
        0x3717_0000 + number
    }

    /// On a file system that shares blocks the copy may be a clone.
    fn copy(&mut self, file: FileId, from: FileId, page: u64, count: u64) {
        let source = self.file(from).pages.clone();
        self.fill(file, page, page + count, |page| source[page as usize]);
        if self.fs == dax_cases::host::FileSystem::Xfs {
            for file in [file, from] {
                self.file_mut(file).shared.extend(page..page + count);
            }
        }
    }

    fn collapse(&mut self, file: FileId, page: u64, count: u64) {
        let pages = &mut self.file_mut(file).pages;
        pages.drain(page as usize..(page + count) as usize);
        for state in &mut self.actors {
            if let Some(held) = &mut state.pin
                && held.file == file
                && held.page >= page + count
            {
                held.page -= count;
            }
        }
    }

    /// What a step does to names, descriptors, mappings and children.
    fn moved(&mut self, actor: Option<Actor>, act: Act) {
        match act {
            Act::Unlink { file } => self.file_mut(file).named = false,
            Act::RenameOver { file, from } => {
                self.file_mut(file).named = false;
                self.file_mut(from).named = false;
            }
            _ => {}
        }
        let Some(actor) = actor else { return };
        let state = self.of_mut(actor);
        match act {
            Act::Reopen { file } => {
                state.files.insert(file);
            }
            Act::Close { file } => {
                state.files.remove(&file);
            }
            Act::Load { file, .. } | Act::Store { file, .. } => {
                state.mapped.insert(file);
            }
            Act::Unmap { file } => {
                state.mapped.remove(&file);
            }
            Act::Fork => state.child = true,
            Act::Reap => state.child = false,
            _ => {}
        }
    }

    /// The end of a pin that the server writes to.
    pub(super) fn sent(&mut self, file: FileId, page: u64, serial: u32) {
        let unknown = self.content(file, page) == Content::Unknown;
        if !unknown {
            self.fill(file, page, page + 1, |_| Content::Sent(serial));
        }
    }
}

/// The pages that a step changes: file, first page, and the page after the last.
pub(super) fn changed(act: Act) -> Option<(FileId, u64, u64)> {
    match act {
        Act::Truncate { file, pages } => Some((file, pages, u64::MAX)),
        Act::OpenTruncate { file } => Some((file, 0, u64::MAX)),
        Act::Range {
            mode: RangeMode::Reserve,
            ..
        } => None,
        // All pages behind it move.
        Act::Range {
            file,
            mode: RangeMode::Collapse | RangeMode::Insert,
            page,
            ..
        } => Some((file, page, u64::MAX)),
        Act::Range {
            file, page, count, ..
        }
        | Act::Copy {
            file, page, count, ..
        }
        | Act::Write { file, page, count } => Some((file, page, page + count)),
        _ => None,
    }
}
