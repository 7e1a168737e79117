// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which steps are possible. A step whose outcome the model could not tell is not.

use dax_cases::cases::Pin;
use dax_cases::host::FileSystem;
use guest_agent::removals::RangeMode;

use super::content::{Content, changed};
use super::{File, Model, Owed, State};
use crate::program::{Act, FileId, Step, Who};

/// Why a step is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(&'static str);

/// How many transfers the lab's servers delay at a time.
const TRANSFERS: usize = 2;

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), Refusal> {
    match holds {
        true => Ok(()),
        false => Err(Refusal(otherwise)),
    }
}

impl Model {
    /// What a step owes, if it is possible.
    pub(super) fn possible(&self, step: Step) -> Result<Owed, Refusal> {
        let act = step.act;
        if let Some(file) = act.file() {
            ensure(file.index() < self.files.len(), "there is no such file")?;
        }
        let actor = match step.who {
            Who::Host => return self.possible_on_host(act),
            Who::Actor(actor) => actor,
        };
        let state = self.of(actor);
        match (&state.open, act) {
            (Some(_), Act::Nudge) => return Ok(Owed::default()),
            (None, Act::Nudge) => return Err(Refusal("the actor is in no call")),
            (Some(_), _) => return Err(Refusal("the actor may be in a call")),
            (None, _) => {}
        }
        let in_call = state.pin.as_ref().is_some_and(|held| is_call(held.pin));
        ensure(!in_call || act == Act::Release, "the actor is in a call")?;
        let owed = self.owed(step);
        ensure(
            state.pin.is_none() || !owed.must.contains(&actor) && !owed.may.contains(&actor),
            "the actor would wait for itself",
        )?;
        self.has_what_it_needs(state, act)?;
        self.is_foreseeable(act, &owed)?;
        self.is_about_pages(act)?;
        if let Act::Pin { file, page, pin } = act {
            self.can_be_pinned(state, file, page, pin, &owed)?;
        }
        Ok(owed)
    }

    /// The host acts on files that it shares, and knows of no pin.
    fn possible_on_host(&self, act: Act) -> Result<Owed, Refusal> {
        ensure(self.fs == FileSystem::Fuse, "the host shares no such file")?;
        match act {
            Act::Unlink { file } => {
                ensure(self.file(file).named, "the file has no name")?;
                ensure(!self.any_open(), "a step may need the name")?;
            }
            Act::Write { .. }
            | Act::Range {
                mode: RangeMode::Punch,
                ..
            } => {
                self.is_about_pages(act)?;
                let file = act.file().ok_or(Refusal("no file"))?;
                ensure(self.open_on(file).next().is_none(), "a step is open there")?;
            }
            _ => return Err(Refusal("the host does not do that")),
        }
        Ok(Owed::default())
    }

    fn any_open(&self) -> bool {
        self.actors.iter().any(|state| state.open.is_some())
    }

    /// Descriptors, mappings, names, pins and children.
    fn has_what_it_needs(&self, state: &State, act: Act) -> Result<(), Refusal> {
        let opened = |file: FileId| ensure(state.files.contains(&file), "the file is not open");
        let named = |file: FileId| ensure(self.file(file).named, "the file has no name");
        match act {
            Act::Load { file, .. } | Act::Store { file, .. } | Act::Pin { file, .. } => ensure(
                state.mapped.contains(&file) || state.files.contains(&file),
                "the file is neither open nor mapped",
            ),
            Act::Release => ensure(state.pin.is_some(), "the actor holds no pin"),
            Act::Range { file, .. }
            | Act::Write { file, .. }
            | Act::Sweep { file, .. }
            | Act::Sync { file }
            | Act::Close { file } => opened(file),
            Act::Copy { file, from, .. } => {
                ensure(from.index() < self.files.len(), "there is no such file")?;
                ensure(file != from, "a file is not copied over itself")?;
                opened(file).and(opened(from))
            }
            Act::Truncate { file, .. }
            | Act::OpenTruncate { file }
            | Act::Reopen { file }
            | Act::Stat { file } => named(file),
            Act::Unlink { file } => {
                ensure(!self.any_open(), "a step may need the name")?;
                named(file)
            }
            Act::RenameOver { file, from } => {
                ensure(from.index() < self.files.len(), "there is no such file")?;
                ensure(file != from, "a file is not renamed over itself")?;
                ensure(!self.any_open(), "a step may need the name")?;
                named(file).and(named(from))
            }
            Act::Unmap { file } => ensure(state.mapped.contains(&file), "nothing is mapped"),
            Act::Fork => ensure(!state.child, "there is a child"),
            Act::Reap => ensure(state.child, "there is no child"),
            Act::Exit => {
                ensure(!state.child, "there is a child")?;
                ensure(!self.any_open(), "a step may hold a lock")?;
                let pin = state.pin.as_ref();
                let ends = pin.is_none_or(|held| held.pin.is_read_at_its_end());
                ensure(ends, "the end of a process waits for its transfers")
            }
            Act::DropCaches | Act::Nudge => Ok(()),
        }
    }

    /// At most one open step changes a file.
    fn is_foreseeable(&self, act: Act, owed: &Owed) -> Result<(), Refusal> {
        if let Some((file, ..)) = changed(act) {
            let mut open = self.open_on(file);
            ensure(
                open.all(|open| changed(open.act).is_none()),
                "a step that changes the file is open",
            )?;
        }
        if let Act::Copy { from, .. } = act {
            let mut open = self.open_on(from);
            ensure(
                open.all(|open| changed(open.act).is_none()),
                "a step that changes the source is open",
            )?;
            let pinned = self.pins_of(from).next().is_some();
            ensure(!pinned, "the source is pinned")?;
        }
        match act {
            // The actor would not be there for what comes next.
            Act::Exit => ensure(owed.may.is_empty(), "another pin may delay the end"),
            Act::Range {
                mode: RangeMode::Insert,
                ..
            } => ensure(owed.errno.is_some(), "the file would get longer"),
            _ => Ok(()),
        }
    }

    /// Pages within the file, of which no block is shared.
    fn is_about_pages(&self, act: Act) -> Result<(), Refusal> {
        let (file, page, count) = match act {
            Act::Load { file, page } | Act::Store { file, page } | Act::Pin { file, page, .. } => {
                (file, page, 1)
            }
            Act::Range {
                file, page, count, ..
            }
            | Act::Write { file, page, count }
            | Act::Copy {
                file, page, count, ..
            } => (file, page, count),
            Act::Sweep { file, range, count } => {
                let pages = crate::RANGE_PAGES;
                let read = count.checked_sub(1).map_or(0, |more| more * pages + 1);
                (file, range * pages, read)
            }
            Act::Stat { file } => {
                let doubtful = self.safe_len(file) < self.file(file).pages.len() as u64;
                return ensure(!doubtful, "the size is not known");
            }
            Act::Truncate { file, pages } => {
                return ensure(pages <= self.file(file).full, "the file was never so long");
            }
            _ => return Ok(()),
        };
        ensure(count > 0, "nothing is done")?;
        ensure(
            page + count <= self.safe_len(file),
            "the file may end before",
        )?;
        if let Act::Copy { from, .. } = act {
            ensure(
                page + count <= self.safe_len(from),
                "the source may end before",
            )?;
        }
        if let Act::Range {
            mode: RangeMode::Collapse,
            ..
        } = act
        {
            let File { pages, shared, .. } = self.file(file);
            ensure(shared.is_empty(), "blocks are shared")?;
            ensure(
                page + count < pages.len() as u64,
                "a collapse ends before the file does",
            )?;
        }
        let shares = self.file(file).shared.range(page..page + count).next();
        ensure(shares.is_none(), "a block is shared")
    }

    fn can_be_pinned(
        &self,
        state: &State,
        file: FileId,
        page: u64,
        pin: Pin,
        owed: &Owed,
    ) -> Result<(), Refusal> {
        ensure(state.pin.is_none(), "the actor holds a pin")?;
        ensure(owed.may.is_empty(), "something may delay the pin")?;
        let known = !matches!(self.content(file, page), Content::Unknown | Content::Zeros);
        ensure(known, "the page has no pattern")?;
        let transfers = self
            .held()
            .filter(|(_, held)| !held.pin.is_read_at_its_end());
        ensure(
            pin.is_read_at_its_end() || transfers.count() < TRANSFERS,
            "too many transfers",
        )?;
        let mut same = self.pins_of(file).filter(|(_, held)| held.page == page);
        ensure(
            same.all(|(_, held)| !pin.writes_page() && !held.pin.writes_page()),
            "two pins of the page, and one writes",
        )?;
        let mut open = self.open_on(file);
        let covers = |act| changed(act).is_some_and(|(_, from, to)| (from..to).contains(&page));
        ensure(
            open.all(|open| !open.must.is_empty() || !covers(open.act)),
            "the page may be gone",
        )
    }
}

/// Whether a process is in a call until the release.
fn is_call(pin: Pin) -> bool {
    matches!(
        pin,
        Pin::DioRead | Pin::DioWrite | Pin::FuseDioRead | Pin::FuseDioWrite
    )
}
