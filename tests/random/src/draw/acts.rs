// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Draws the files, pages and lengths of a step.

use dax_cases::cases::Pin;
use fastrand::Rng;
use guest_agent::removals::RangeMode;

use super::{Drawer, Kind};
use crate::program::{Act, FileId, Program, RANGE_PAGES};

/// What is drawn is drawn by these.
pub(super) struct Dice(pub(super) Rng);

impl Dice {
    /// One of the values, each as likely as its weight says.
    pub(super) fn of<T: Copy>(&mut self, values: &[(u32, T)]) -> T {
        let total: u32 = values.iter().map(|(weight, _)| weight).sum();
        let mut left = self.0.u32(..total);
        for (weight, value) in values {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return *value,
            }
        }
        unreachable!("the weights' sum is above the number drawn")
    }

    /// A page that the program comes back to: at an edge of a range, or within.
    pub(super) fn page(&mut self, program: &Program) -> (FileId, u64) {
        let file = self.of(&[(4, FileId(0)), (1, FileId(1))]);
        let ranges = program.files[file.index()].min(2);
        let range = self.0.u64(..ranges);
        let within = self.0.u64(..RANGE_PAGES);
        let page = self.of(&[(2, 3), (1, 0), (1, 1), (1, RANGE_PAGES - 1), (1, within)]);
        (file, range * RANGE_PAGES + page)
    }

    fn pin(&mut self) -> Pin {
        self.of(&[
            (5, Pin::Vmsplice),
            (3, Pin::AioRead),
            (2, Pin::AioWrite),
            (1, Pin::UringRead),
            (1, Pin::UringWrite),
            (1, Pin::DioRead),
            (1, Pin::DioWrite),
            (1, Pin::FuseDioRead),
            (1, Pin::FuseDioWrite),
            (1, Pin::ZeroCopy),
        ])
    }
}

impl Drawer {
    /// A step of a kind.
    pub(super) fn act(&mut self, kind: Kind) -> Act {
        let (file, page) = self.place();
        let other = FileId(1 - file.0);
        let flip = self.dice.0.bool();
        match kind {
            Kind::Load => Act::Load { file, page },
            Kind::Store => Act::Store { file, page },
            Kind::Pin => Act::Pin {
                file,
                page,
                pin: self.dice.pin(),
            },
            Kind::Release => Act::Release,
            Kind::Removal => self.removal(file, page),
            Kind::Copy => {
                let (page, count) = self.part(page);
                Act::Copy {
                    file,
                    from: other,
                    page,
                    count,
                }
            }
            Kind::Write => {
                let (page, count) = self.part(page);
                Act::Write { file, page, count }
            }
            Kind::Sweep => self.sweep(),
            Kind::Sync => Act::Sync { file },
            Kind::Reopen => Act::Reopen { file },
            Kind::Close => Act::Close { file },
            Kind::Unmap => Act::Unmap { file },
            Kind::Rename if flip => Act::Unlink { file },
            Kind::Rename => Act::RenameOver { file, from: other },
            Kind::Stat => Act::Stat { file },
            Kind::DropCaches => Act::DropCaches,
            Kind::Fork if flip => Act::Reap,
            Kind::Fork => Act::Fork,
            Kind::Exit => Act::Exit,
            Kind::Nudge => Act::Nudge,
            Kind::Host => {
                let (page, count) = self.part(page);
                match self.dice.0.u8(..5) {
                    0 => Act::Unlink { file },
                    1 | 2 => Act::Write { file, page, count },
                    _ => Act::Range {
                        file,
                        mode: RangeMode::Punch,
                        page,
                        count,
                    },
                }
            }
        }
    }

    /// A page: mostly one that is pinned, or else one that the program comes back to.
    fn place(&mut self) -> (FileId, u64) {
        let holders = self.model.holders();
        if !holders.is_empty() && self.dice.0.u8(..10) < 6 {
            let holder = holders[self.dice.0.usize(..holders.len())];
            if let Some(held) = &self.model.of(holder).pin {
                return (held.file, held.page);
            }
        }
        let (file, page) = self.hot[self.dice.0.usize(..2)];
        match self.dice.0.u8(..8) {
            0 => {
                let pages = self.model.file(file).full;
                (file, self.dice.0.u64(..pages))
            }
            1 => (FileId(1 - file.0), page),
            _ => (file, page),
        }
    }

    /// Some pages around a page.
    fn part(&mut self, page: u64) -> (u64, u64) {
        let aligned = page - page % RANGE_PAGES;
        self.dice.of(&[
            (3, (page, 1)),
            (1, (page, 2)),
            (1, (page.saturating_sub(1), 1)),
            (1, (page + 1, 1)),
            (2, (aligned, RANGE_PAGES)),
            (1, (aligned, RANGE_PAGES / 2)),
        ])
    }

    fn removal(&mut self, file: FileId, page: u64) -> Act {
        let full = self.model.file(file).full;
        let somewhere = self.dice.0.u64(..=full);
        let pages = self
            .dice
            .of(&[(4, 0), (2, page), (1, page + 1), (2, full), (1, somewhere)]);
        let (from, count) = self.part(page);
        let range = |mode| Act::Range {
            file,
            mode,
            page: from,
            count,
        };
        self.dice.of(&[
            (4, Act::Truncate { file, pages }),
            (1, Act::OpenTruncate { file }),
            (3, range(RangeMode::Punch)),
            (1, range(RangeMode::Zero)),
            (1, range(RangeMode::Collapse)),
            (1, range(RangeMode::Reserve)),
        ])
    }

    fn sweep(&mut self) -> Act {
        let file = self.dice.of(&[(4, FileId(0)), (1, FileId(1))]);
        let ranges = self.model.file(file).full / RANGE_PAGES;
        let from = self.dice.0.u64(..ranges);
        let to = self.dice.0.u64(from..ranges) + 1;
        let (range, count) = self.dice.of(&[
            (3, (1, ranges.saturating_sub(1))),
            (1, (0, ranges)),
            (2, (from, to - from)),
        ]);
        Act::Sweep { file, range, count }
    }
}
