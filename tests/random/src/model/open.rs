// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Steps that have begun, and that something may delay.

use std::collections::BTreeSet;

use super::content::{Content, changed};
use super::owed::removed;
use super::{Held, Model, Owed};
use crate::program::{Act, Actor, FileId};

/// A step that has begun. Pins are named by their holders.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) act: Act,
    /// What it is to wait for.
    pub(super) must: BTreeSet<Actor>,
    /// What else may delay it.
    pub(super) may: BTreeSet<Actor>,
    /// A pinned page of its file was accessed while it waited.
    refaulted: bool,
    /// Pages that it changes, and that a server writes to before or after.
    doubtful: Vec<u64>,
    number: u32,
}

impl Open {
    /// A new pin meets it. It still waits for another one, so it has not been done.
    pub(super) fn meets(&mut self, holder: Actor, file: FileId, page: u64) {
        if self.act.file() != Some(file) {
            return;
        }
        self.refaulted = true;
        let removes = removed(self.act).is_some_and(|part| part.has(file, page));
        match removes && !self.must.is_empty() {
            true => self.must.insert(holder),
            false => self.may.insert(holder),
        };
    }

    /// Whether nothing delays it any more.
    fn is_free(&self) -> bool {
        self.must.is_empty() && self.may.is_empty()
    }

    /// All that may delay it.
    pub(super) fn all(&self) -> impl Iterator<Item = Actor> + '_ {
        self.must.union(&self.may).copied()
    }
}

impl Model {
    /// A step of an actor begins. It is over at once, if nothing can delay it.
    pub(super) fn begin(&mut self, actor: Actor, act: Act, owed: &Owed) {
        if let Act::Load { file, page } | Act::Store { file, page } = act {
            let pinned = self.pins_of(file).any(|(_, held)| held.page == page);
            for state in &mut self.actors {
                if let Some(open) = &mut state.open
                    && open.act.file() == Some(file)
                {
                    open.refaulted |= pinned;
                }
            }
        }
        if owed.errno.is_some() {
            return;
        }
        let changes = |file, page| {
            changed(act).is_some_and(|(of, from, to)| of == file && (from..to).contains(&page))
        };
        let written = self.held().filter(|(_, held)| held.pin.writes_page());
        let doubtful = written
            .filter(|(holder, held)| changes(held.file, held.page) && !owed.must.contains(holder));
        let open = Open {
            act,
            doubtful: doubtful.map(|(_, held)| held.page).collect(),
            must: owed.must.clone(),
            may: owed.may.clone(),
            refaulted: false,
            number: self.taken,
        };
        if open.is_free() {
            return self.done(Some(actor), act);
        }
        if open.must.is_empty() {
            self.blur(act);
            self.changes(act);
        }
        self.of_mut(actor).open = Some(open);
    }

    /// A pin ends. What waited for it goes on.
    pub(super) fn release(&mut self, actor: Actor) {
        let Some(Held {
            file,
            page,
            pin,
            serial,
            ..
        }) = self.of_mut(actor).pin.take()
        else {
            return;
        };
        if pin.writes_page() {
            self.sent(file, page, serial);
        }
        let mut free: Vec<(Actor, Open)> = Vec::new();
        for waiter in Actor::ALL {
            let Some(mut open) = self.of_mut(waiter).open.take() else {
                continue;
            };
            let waited = !open.must.is_empty();
            open.must.remove(&actor);
            open.may.remove(&actor);
            if open.is_free() {
                free.push((waiter, open));
                continue;
            }
            if waited && open.must.is_empty() {
                self.blur(open.act);
            }
            self.of_mut(waiter).open = Some(open);
        }
        free.sort_by_key(|(_, open)| open.number);
        for (waiter, open) in free {
            self.done(Some(waiter), open.act);
            if let Some(file) = open.act.file() {
                for page in open.doubtful {
                    self.fill(file, page, page + 1, |_| Content::Unknown);
                }
            }
        }
    }

    /// The pins that an actor's open step has to wait for.
    pub(crate) fn must(&self, actor: Actor) -> BTreeSet<Actor> {
        let open = self.of(actor).open.as_ref();
        open.map(|open| open.must.clone()).unwrap_or_default()
    }

    /// Whether an actor's step is open.
    pub(crate) fn is_open(&self, actor: Actor) -> bool {
        self.of(actor).open.is_some()
    }

    /// Whether a pinned page of an actor's open step was accessed while the step waited.
    pub(crate) fn is_refaulted(&self, actor: Actor) -> bool {
        let open = self.of(actor).open.as_ref();
        open.is_some_and(|open| open.refaulted)
    }

    /// The open steps about a file, but for loads and stores.
    pub(super) fn open_on(&self, file: FileId) -> impl Iterator<Item = &Open> {
        let open = self.actors.iter().filter_map(|state| state.open.as_ref());
        open.filter(move |open| match open.act {
            Act::Copy { file: to, from, .. } => to == file || from == file,
            act => act.file() == Some(file),
        })
    }

    /// The length of a file in pages that no open step may have taken away.
    pub(crate) fn safe_len(&self, file: FileId) -> u64 {
        let doubtful = self.open_on(file).filter(|open| open.must.is_empty());
        let cut = doubtful.filter_map(|open| match open.act {
            Act::Truncate { .. } | Act::OpenTruncate { .. } => changed(open.act),
            Act::Range { .. } => removed(open.act)
                .filter(|part| part.shifts)
                .and_then(|_| changed(open.act)),
            _ => None,
        });
        let len = self.file(file).pages.len() as u64;
        cut.map(|(_, from, _)| from).min().unwrap_or(len).min(len)
    }
}
