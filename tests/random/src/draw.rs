// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Draws programs.
//!
//! What is likely was chosen so that steps meet: a program has two pages that it comes back to, most
//! removals are of a pinned page, and while a step waits, most steps are about what it waits for.

use dax_cases::cases::Pin;
use dax_cases::host::FileSystem;
use fastrand::Rng;
use guest_agent::removals::RangeMode;

use crate::model::Model;
use crate::program::{Act, Actor, FileId, MapSize, Program, RANGE_PAGES, Step, Who};

/// Steps of a program, at least and at most.
const STEPS: std::ops::RangeInclusive<usize> = 4..=16;
/// One more range than the window of the lab's guests has.
const BEYOND_WINDOW: u64 = 9;
/// How often a step that is not possible is drawn again.
const TRIES: usize = 60;

/// The program of a number, by a seed: always the same one.
#[must_use]
pub fn draw(seed: u64, number: u64, fs: Option<FileSystem>) -> Program {
    let rng = Rng::with_seed(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut dice = Dice(rng);
    let fs = fs.unwrap_or_else(|| {
        dice.of(&[
            (3, FileSystem::Fuse),
            (1, FileSystem::Ext4),
            (1, FileSystem::Xfs),
        ])
    });
    let long = fs == FileSystem::Fuse && dice.0.u8(..100) < 35;
    let short = |dice: &mut Dice| dice.of(&[(2, 1), (1, 2)]);
    let files = match long {
        true => vec![BEYOND_WINDOW, short(&mut dice)],
        false => vec![short(&mut dice), short(&mut dice)],
    };
    let maps = dice.of(&[(1, MapSize::Part), (1, MapSize::Whole)]);
    let program = Program {
        fs,
        files,
        maps,
        steps: Vec::new(),
    };
    let hot = [0, 1].map(|_| dice.page(&program));
    let count = dice.0.usize(STEPS);
    let mut drawer = Drawer {
        model: Model::new(&program),
        dice,
        hot,
    };
    let steps = (0..count).filter_map(|_| drawer.step()).collect();
    program.with_steps(steps)
}

struct Dice(Rng);

impl Dice {
    /// One of the values, each as likely as its weight says.
    fn of<T: Copy>(&mut self, values: &[(u32, T)]) -> T {
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
    fn page(&mut self, program: &Program) -> (FileId, u64) {
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

struct Drawer {
    model: Model,
    dice: Dice,
    hot: [(FileId, u64); 2],
}

/// What kind of step is drawn.
#[derive(Clone, Copy)]
enum Kind {
    Load,
    Store,
    Pin,
    Release,
    Removal,
    Copy,
    Write,
    Sweep,
    Sync,
    Reopen,
    Close,
    Unmap,
    Rename,
    Stat,
    DropCaches,
    Fork,
    Exit,
    Nudge,
    Host,
}

impl Drawer {
    /// The next step; `None` if none was possible.
    fn step(&mut self) -> Option<Step> {
        for _ in 0..TRIES {
            let kind = self.kind();
            let actor = Who::Actor(*self.dice.0.choice(&Actor::ALL)?);
            let who = match kind {
                Kind::Host => Who::Host,
                _ => actor,
            };
            let step = Step {
                who,
                act: self.act(kind),
            };
            if self.model.step(step).is_ok() {
                return Some(step);
            }
        }
        None
    }

    fn kind(&mut self) -> Kind {
        let waits = Actor::ALL.iter().any(|actor| self.model.is_open(*actor));
        let holds = !self.model.holders().is_empty();
        let weights: &[(u32, Kind)] = match (holds, waits) {
            (false, _) => &[
                (6, Kind::Load),
                (2, Kind::Store),
                (12, Kind::Pin),
                (2, Kind::Sweep),
                (2, Kind::Write),
                (1, Kind::Sync),
                (1, Kind::Reopen),
                (1, Kind::Removal),
                (1, Kind::Copy),
                (1, Kind::Rename),
                (1, Kind::Fork),
                (1, Kind::Host),
            ],
            (true, false) => &[
                (8, Kind::Removal),
                (3, Kind::Sweep),
                (3, Kind::Reopen),
                (3, Kind::Copy),
                (2, Kind::Load),
                (2, Kind::Store),
                (3, Kind::Unmap),
                (3, Kind::Pin),
                (2, Kind::Release),
                (1, Kind::Write),
                (1, Kind::Sync),
                (1, Kind::Close),
                (1, Kind::Rename),
                (1, Kind::Stat),
                (1, Kind::DropCaches),
                (1, Kind::Fork),
                (1, Kind::Exit),
                (1, Kind::Host),
            ],
            (true, true) => &[
                (4, Kind::Load),
                (4, Kind::Store),
                (6, Kind::Release),
                (2, Kind::Pin),
                (2, Kind::Sweep),
                (1, Kind::Removal),
                (1, Kind::Copy),
                (1, Kind::Write),
                (1, Kind::Sync),
                (1, Kind::Reopen),
                (1, Kind::Unmap),
                (1, Kind::Close),
                (1, Kind::Stat),
                (1, Kind::DropCaches),
                (1, Kind::Fork),
                (1, Kind::Nudge),
                (1, Kind::Host),
            ],
        };
        self.dice.of(weights)
    }

    fn act(&mut self, kind: Kind) -> Act {
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
