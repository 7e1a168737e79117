// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a step owes to the pins that are held. It is the lab's contract
//! ([`RemovalKind::contract`](dax_cases::cases::RemovalKind::contract)), page by page.

use std::collections::BTreeSet;

use dax_cases::host::FileSystem;
use guest_agent::removals::RangeMode;

use super::Model;
use crate::program::{Act, Actor, FileId, RANGE_PAGES, Step, Who};

/// What a step owes. Pins are named by their holders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// The pins whose pages it takes. It must not return before the last of them is released.
    pub must: BTreeSet<Actor>,
    /// The pins that may delay it, because the kernel looks at whole files, holds a lock while
    /// another step waits, or has no range of the window left.
    pub may: BTreeSet<Actor>,
    /// The error with which it has to fail.
    pub errno: Option<i32>,
}

/// A part of a file whose blocks a step takes.
pub(super) struct Part {
    file: FileId,
    from: u64,
    to: u64,
    /// All pages behind it move.
    pub(super) shifts: bool,
}

impl Part {
    pub(super) fn has(&self, file: FileId, page: u64) -> bool {
        self.file == file && (self.from..self.to).contains(&page)
    }
}

/// Ranges of the window of the lab's guests. Linux frees ranges when the last one is taken, so one
/// less counts as full.
const FULL: usize = 7;

/// The ranges of 2 MiB that a step accesses through the window.
pub(super) fn accessed(act: Act) -> impl Iterator<Item = (FileId, u64)> {
    let range = |page| page / RANGE_PAGES;
    let (file, ranges) = match act {
        Act::Sweep { file, range, count } => (file, range..range + count),
        Act::Load { file, page } | Act::Store { file, page } | Act::Pin { file, page, .. } => {
            (file, range(page)..range(page) + 1)
        }
        Act::Write { file, page, count } => {
            (file, range(page)..(page + count).div_ceil(RANGE_PAGES))
        }
        _ => (FileId(0), 0..0),
    };
    ranges.map(move |range| (file, range))
}

/// The part whose blocks a step takes on every file system that has it.
pub(super) fn removed(act: Act) -> Option<Part> {
    let part = |file, from, to, shifts| Part {
        file,
        from,
        to,
        shifts,
    };
    match act {
        Act::Truncate { file, pages } => Some(part(file, pages, u64::MAX, false)),
        Act::OpenTruncate { file } => Some(part(file, 0, u64::MAX, false)),
        Act::Range {
            file,
            mode: mode @ (RangeMode::Punch | RangeMode::Zero | RangeMode::Collapse),
            page,
            count,
        } => Some(part(file, page, page + count, mode == RangeMode::Collapse)),
        _ => None,
    }
}

impl Model {
    /// What a step owes.
    pub(super) fn owed(&self, step: Step) -> Owed {
        let (Who::Actor(actor), act) = (step.who, step.act) else {
            return Owed::default();
        };
        let is_fuse = self.fs == FileSystem::Fuse;
        if let Act::Range {
            mode: RangeMode::Collapse | RangeMode::Insert,
            ..
        } = act
            && is_fuse
        {
            return Owed {
                errno: Some(libc::EOPNOTSUPP),
                ..Owed::default()
            };
        }
        let taken = match act {
            // The copy may be a clone, which gives the page another block.
            Act::Copy {
                file, page, count, ..
            } if self.fs == FileSystem::Xfs => Some(Part {
                file,
                from: page,
                to: page + count,
                shifts: false,
            }),
            act => removed(act),
        };
        let has = |file, page| taken.as_ref().is_some_and(|part| part.has(file, page));
        let must = self.held().filter(|(_, held)| has(held.file, held.page));
        let must: BTreeSet<Actor> = must.map(|(actor, _)| actor).collect();
        let may = self
            .may_delay(actor, act)
            .difference(&must)
            .copied()
            .collect();
        Owed {
            must,
            may,
            errno: None,
        }
    }

    fn may_delay(&self, actor: Actor, act: Act) -> BTreeSet<Actor> {
        let mut may = BTreeSet::new();
        let holders = || self.held().map(|(actor, _)| actor);
        // An inode without a name is evicted after its last use, under the pin or after it.
        let nameless = |file: FileId| {
            let pins = self.pins_of(file).map(|(actor, _)| actor);
            pins.filter(move |_| !self.file(file).named)
        };
        match act {
            Act::Release | Act::Stat { .. } | Act::Nudge | Act::Fork => return may,
            Act::DropCaches => may.extend(holders()),
            Act::Exit => may.extend(holders().filter(|holder| *holder != actor)),
            Act::Reap => may.extend((0..).take(self.files.len()).map(FileId).flat_map(nameless)),
            Act::Load { .. } | Act::Store { .. } | Act::Pin { .. } => {}
            Act::Sync { file } | Act::Sweep { file, .. } => may.extend(self.locked(file)),
            Act::Close { file } | Act::Reopen { file } | Act::Unmap { file } => {
                may.extend(self.locked(file));
                may.extend(nameless(file));
            }
            act => {
                let also = match act {
                    Act::Copy { from, .. } | Act::RenameOver { from, .. } => Some(from),
                    _ => None,
                };
                for file in act.file().into_iter().chain(also) {
                    may.extend(self.pins_of(file).map(|(actor, _)| actor));
                    may.extend(self.locked(file));
                }
            }
        }
        let accesses = matches!(
            act,
            Act::Load { .. }
                | Act::Store { .. }
                | Act::Pin { .. }
                | Act::Sweep { .. }
                | Act::Write { .. }
        );
        if accesses && self.will_be_full(act) {
            may.extend(holders());
        }
        may
    }

    /// The pins for which an open step waits, and meanwhile it holds the inode's lock.
    fn locked(&self, file: FileId) -> impl Iterator<Item = Actor> + '_ {
        self.open_on(file).flat_map(|open| open.all())
    }

    /// Whether the window may be full once a step has what it needs.
    fn will_be_full(&self, act: Act) -> bool {
        let used = self.used.iter().copied();
        let ranges = used.chain(accessed(act)).collect::<BTreeSet<_>>();
        self.fs == FileSystem::Fuse && ranges.len() >= FULL
    }
}
