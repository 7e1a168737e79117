// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Pins are taken and released.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_cases::cases::{Page, Pin};
use dax_cases::host::{Lacking, WorkerError};
use guest_agent::worker::Fault;

use super::check::PAGE;
use super::player::Player;
use crate::deviation::{Circumstances, Deviation, Kind};
use crate::model::{Model, Owed};
use crate::program::{Actor, FileId};

/// How long a step may take to return after the last pin is released. It takes milliseconds.
const WAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a step is watched that has to wait for one more pin.
const WATCHED: Duration = Duration::from_millis(60);

impl Player<'_> {
    /// Takes a pin.
    pub(super) async fn pin(
        &mut self,
        actor: Actor,
        file: FileId,
        page: u64,
        pin: Pin,
    ) -> Result<Option<Deviation>> {
        let verb = "pin";
        let (requests, map, at) = self.mapping(actor, file, page)?;
        if let Some(found) = self.act(actor, verb, &Owed::default(), requests).await? {
            return Ok(Some(found));
        }
        let (disk_at, _) = self.rig.fresh();
        self.sent_at.push(disk_at);
        let pattern = self.pattern(self.model.content(file, page)).flatten();
        let (seed, offset) = pattern.context("the model pins pages that have a pattern")?;
        let page = Page {
            map,
            at,
            len: PAGE as usize,
            offset,
            disk_at,
            seed,
        };
        let fs = self.program.fs;
        let cast = self.cast[actor.index()]
            .as_mut()
            .context("an actor is gone")?;
        match pin.take(&mut cast.worker, fs, &page, self.rig).await {
            Ok(held) => {
                cast.held = Some((held, page));
                Ok(None)
            }
            Err(error) => {
                let fault = match error.downcast_ref() {
                    Some(WorkerError::Fault { source, .. }) => Some(source),
                    // From the call that the actor would have stayed in.
                    _ => error.downcast_ref::<Fault>(),
                };
                let Some(fault) = fault else {
                    return Err(error);
                };
                match Lacking::of(fault) {
                    Some(lacking) => Err(lacking.into()),
                    None => Ok(self.judge(verb, Err(fault.clone()), None)),
                }
            }
        }
    }

    /// Releases a pin, and waits for what nothing else delays. `before` is the model with the pin.
    pub(super) async fn release(
        &mut self,
        actor: Actor,
        before: &Model,
    ) -> Result<Option<Deviation>> {
        let verb = "release";
        let cast = self.cast(actor)?;
        let (held, mut page) = cast.held.take().context("the actor holds no pin")?;
        let pinned = before
            .of(actor)
            .pin
            .as_ref()
            .context("the model has a pin")?;
        let pattern = self.pattern(before.content(pinned.file, pinned.page));
        if let Some(Some((seed, offset))) = pattern {
            (page.seed, page.offset) = (seed, offset);
        }
        let cast = self.cast[actor.index()]
            .as_mut()
            .context("an actor is gone")?;
        let ended = held.release(&mut cast.worker, &page, self.rig).await?;
        let none = Circumstances::default();
        if let Some(failed) = ended.failed {
            // The disk is of no use any more.
            self.played.wedged = true;
            let kind = Kind::Errno(Some(libc::EIO));
            return Ok(Some(self.deviation(kind, verb, failed, none)));
        }
        if let (Some(leaked), Some(Some(_))) = (ended.leaked, pattern) {
            let said = format!("who read the pinned page got other data: {leaked}");
            return Ok(Some(self.deviation(Kind::Bytes, verb, said, none)));
        }
        for waiter in Actor::ALL {
            if before.is_open(waiter) && !self.model.is_open(waiter) {
                let circumstances = Circumstances {
                    refaulted: before.is_refaulted(waiter),
                    ..Circumstances::default()
                };
                if let Some(found) = self.goes_on(waiter, circumstances).await? {
                    return Ok(Some(found));
                }
            }
        }
        let waits = Actor::ALL
            .iter()
            .any(|actor| !self.model.must(*actor).is_empty());
        match waits {
            true => self.poll(WATCHED).await,
            false => Ok(None),
        }
    }

    /// Waits for the return of a step that nothing delays any more.
    async fn goes_on(
        &mut self,
        waiter: Actor,
        circumstances: Circumstances,
    ) -> Result<Option<Deviation>> {
        let cast = self.cast[waiter.index()]
            .as_mut()
            .context("an actor is gone")?;
        let Some((_, verb, pending)) = &cast.pending else {
            return Ok(None);
        };
        let verb = *verb;
        match cast.worker.done_within(pending, WAKE_DEADLINE).await {
            Ok(Some(done)) => {
                cast.pending = None;
                Ok(self.judge(verb, done.outcome, None))
            }
            Ok(None) => {
                let place = self.place(waiter).await?;
                let said = format!("nothing is pinned, and it sleeps in {}", place.join(" ← "));
                let kind = Kind::Hang(place);
                Ok(Some(self.deviation(kind, verb, said, circumstances)))
            }
            Err(error) => self.killed(verb, error).map(Some),
        }
    }
}
