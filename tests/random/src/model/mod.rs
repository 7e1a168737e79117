// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Who holds what, who may return when, and what each page holds.
//!
//! The model is told each step *before* the step is played, and it is never told what the kernel
//! did: it only knows what the kernel may do. A step that has to wait for a pin stays *open* until
//! that pin has been released. A step that may wait, and need not, is open as long, and until then
//! what it changes is unknown.

mod content;
mod open;
mod owed;
mod possible;

use std::collections::BTreeSet;

use dax_cases::cases::Pin;
use dax_cases::host::FileSystem;

pub use content::Content;
use open::Open;
pub use owed::Owed;
pub use possible::Refusal;

use crate::program::{Act, Actor, FileId, Program, RANGE_PAGES, Step, Who};

/// What is known while a program runs.
#[derive(Clone, Debug)]
pub struct Model {
    pub(crate) fs: FileSystem,
    pub(crate) files: Vec<File>,
    pub(crate) actors: [State; 3],
    /// Ranges of files that may be in the window.
    used: BTreeSet<(FileId, u64)>,
    pins: u32,
    writes: u64,
    /// Counts steps, so that open steps end in their order.
    taken: u32,
}

/// A file.
#[derive(Clone, Debug)]
pub(crate) struct File {
    /// What each page holds.
    pub(crate) pages: Vec<Content>,
    /// The length that it began with.
    pub(crate) full: u64,
    /// Whether its own name still names it.
    pub(crate) named: bool,
    /// Whether its content has been changed by a call.
    changed: bool,
    /// Pages that share a block with another file.
    shared: BTreeSet<u64>,
}

/// An actor.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) pin: Option<Held>,
    open: Option<Open>,
    pub(crate) files: BTreeSet<FileId>,
    pub(crate) mapped: BTreeSet<FileId>,
    child: bool,
}

/// A pin that is held.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) file: FileId,
    pub(crate) page: u64,
    pub(crate) pin: Pin,
    /// Numbers pins, to tell what each one writes.
    pub(crate) serial: u32,
    /// What may have hidden it since it was taken.
    pub(crate) hidden: Hidden,
}

/// What may have hidden a pin from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hidden {
    /// Its page has been copied over.
    pub(crate) copied: bool,
    /// Its file has been opened anew.
    pub(crate) reopened: bool,
    /// Its mapping has been dropped.
    pub(crate) unmapped: bool,
    /// Its file's time of change has moved, now or before, so that the guest may ask for it.
    pub(crate) changed: bool,
}

impl Model {
    /// The state in which a program begins.
    pub fn new(program: &Program) -> Self {
        let files = (0..).zip(&program.files).map(|(index, ranges)| {
            let pages = ranges * RANGE_PAGES;
            File {
                pages: (0..pages).map(|page| Content::first(index, page)).collect(),
                full: pages,
                named: true,
                changed: false,
                shared: BTreeSet::new(),
            }
        });
        let files: Vec<File> = files.collect();
        let all = || (0..).take(files.len()).map(FileId);
        let actor = || State {
            files: all().collect(),
            ..State::default()
        };
        Self {
            fs: program.fs,
            actors: [actor(), actor(), actor()],
            files,
            used: BTreeSet::new(),
            pins: 0,
            writes: 0,
            taken: 0,
        }
    }

    /// Takes a step. What it owes is returned, and what it does to the files counts as soon as
    /// nothing can delay it any more.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the step is not possible now. The state is as before then.
    pub fn step(&mut self, step: Step) -> Result<Owed, Refusal> {
        let owed = self.possible(step)?;
        self.taken += 1;
        self.used.extend(owed::accessed(step.act));
        match (step.who, step.act) {
            (Who::Host, act) => self.done(None, act),
            (Who::Actor(actor), Act::Release) => self.release(actor),
            (Who::Actor(actor), Act::Pin { file, page, pin }) => self.pin(actor, file, page, pin),
            (Who::Actor(_), Act::Nudge) => {}
            (Who::Actor(actor), Act::Exit) => {
                self.release(actor);
                *self.of_mut(actor) = State::default();
            }
            (Who::Actor(actor), act) => {
                self.hide(actor, act);
                self.begin(actor, act, &owed);
            }
        }
        Ok(owed)
    }

    /// The actors that hold pins.
    pub fn holders(&self) -> Vec<Actor> {
        let all = Actor::ALL.into_iter();
        all.filter(|actor| self.of(*actor).pin.is_some()).collect()
    }

    pub(crate) fn of(&self, actor: Actor) -> &State {
        &self.actors[actor.index()]
    }

    fn of_mut(&mut self, actor: Actor) -> &mut State {
        &mut self.actors[actor.index()]
    }

    pub(crate) fn file(&self, file: FileId) -> &File {
        &self.files[file.index()]
    }

    fn file_mut(&mut self, file: FileId) -> &mut File {
        &mut self.files[file.index()]
    }

    /// The pins on a file.
    fn pins_of(&self, file: FileId) -> impl Iterator<Item = (Actor, &Held)> {
        self.held().filter(move |(_, held)| held.file == file)
    }

    /// All pins.
    fn held(&self) -> impl Iterator<Item = (Actor, &Held)> {
        let all = Actor::ALL.into_iter();
        all.filter_map(|actor| Some((actor, self.of(actor).pin.as_ref()?)))
    }

    fn pin(&mut self, actor: Actor, file: FileId, page: u64, pin: Pin) {
        for other in Actor::ALL {
            if let Some(open) = self.of_mut(other).open.as_mut() {
                open.meets(actor, file, page);
            }
        }
        let changed = self.file(file).changed;
        let serial = self.pins;
        self.pins += 1;
        let state = self.of_mut(actor);
        state.mapped.insert(file);
        state.pin = Some(Held {
            file,
            page,
            pin,
            serial,
            hidden: Hidden {
                changed,
                ..Hidden::default()
            },
        });
    }

    /// Records that a step changes a file, and may have done so already. A step that waits has not.
    fn changes(&mut self, act: Act) {
        if let Some((file, ..)) = content::changed(act) {
            self.file_mut(file).changed = true;
            let pins = self
                .actors
                .iter_mut()
                .filter_map(|state| state.pin.as_mut());
            for held in pins.filter(|held| held.file == file) {
                held.hidden.changed = true;
            }
        }
    }

    /// Records what may hide pins, as soon as it begins.
    fn hide(&mut self, actor: Actor, act: Act) {
        for holder in Actor::ALL {
            let Some(held) = &mut self.of_mut(holder).pin else {
                continue;
            };
            let inside = |from: u64, count: u64| (from..from + count).contains(&held.page);
            match act {
                Act::Copy {
                    file, page, count, ..
                } if file == held.file && inside(page, count) => held.hidden.copied = true,
                Act::Reopen { file } if file == held.file => held.hidden.reopened = true,
                Act::Unmap { file } if file == held.file && holder == actor => {
                    held.hidden.unmapped = true;
                }
                _ => {}
            }
        }
    }
}

/// The program without the steps that are not possible.
#[must_use]
pub fn sound(program: &Program) -> Program {
    let mut model = Model::new(program);
    let steps = program.steps.iter().copied();
    program.with_steps(steps.filter(|step| model.step(*step).is_ok()).collect())
}

#[cfg(test)]
mod tests;
