// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Draws programs.
//!
//! What is likely was chosen so that steps meet: a program has two pages that it comes back to, most
//! removals are of a pinned page, and while a step waits, most steps are about what it waits for.

mod acts;

use dax_cases::host::FileSystem;
use fastrand::Rng;

use acts::Dice;

use crate::model::Model;
use crate::program::{Actor, FileId, MapSize, Program, RANGE_PAGES, Step, Who};

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
    let long = fs == FileSystem::Fuse && dice.0.u8(..100) < 45;
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
        // A window that gets full under a pin is what long files are for.
        let is_long = self.model.file(FileId(0)).full >= BEYOND_WINDOW * RANGE_PAGES;
        if holds && !waits && is_long && self.dice.0.u8(..5) == 0 {
            return Kind::Sweep;
        }
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
}
