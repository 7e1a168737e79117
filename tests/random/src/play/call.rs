// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Calls of actors, from their beginning until they have returned or are seen waiting, and the ends
//! of actors.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_cases::host::{Who as Task, WorkerError, sleeping};
use guest_agent::removals::Removal;
use guest_agent::worker::{Request, Sequence};
use tokio::time::timeout;

use super::check::PAGE;
use super::player::{Cast, Player};
use super::settle::{Settled, functions, settle};
use crate::deviation::{Circumstances, Deviation, Kind};
use crate::model::Owed;
use crate::program::{Actor, FileId};

/// How long a step may take that nothing delays. One takes milliseconds.
const RETURN_DEADLINE: Duration = Duration::from_secs(20);
/// How long a step that may wait is looked at until it counts as waiting somewhere.
const LOOK: Duration = Duration::from_secs(5);

impl Player<'_> {
    /// A step of an actor in the guest.
    pub(super) async fn act(
        &mut self,
        actor: Actor,
        verb: &'static str,
        owed: &Owed,
        requests: Vec<Request>,
    ) -> Result<Option<Deviation>> {
        let (at, delayed) = (self.at, !owed.must.is_empty() || !owed.may.is_empty());
        let cast = self.cast[actor.index()]
            .as_mut()
            .context("an actor is gone")?;
        let pending = cast.worker.begin(Sequence { requests }).await?;
        let settled = match delayed {
            true => settle(&mut cast.worker, &pending, self.rig.watcher(), LOOK).await,
            false => {
                let done = cast.worker.done_within(&pending, RETURN_DEADLINE).await;
                done.map(|done| done.map_or(Settled::Elsewhere, Settled::Over))
            }
        };
        let settled = match settled {
            Ok(settled) => settled,
            Err(error) => return self.killed(verb, error).map(Some),
        };
        match settled {
            Settled::Over(done) if owed.must.is_empty() || done.outcome.is_err() => {
                Ok(self.judge(verb, done.outcome, owed.errno))
            }
            Settled::Over(done) => Ok(self.returned(actor, verb, done.outcome)),
            Settled::Waits(task) if delayed => {
                cast.pending = Some((at, verb, pending));
                let place = functions(Some(&task)).into_iter().take(2);
                let place: Vec<String> = place.collect();
                self.note(format_args!("  it waits in {}", place.join(" ← ")));
                Ok(None)
            }
            Settled::Elsewhere if delayed => {
                cast.pending = Some((at, verb, pending));
                self.note("  it has not returned");
                Ok(None)
            }
            Settled::Waits(_) | Settled::Elsewhere => {
                cast.pending = Some((at, verb, pending));
                self.hangs(actor, verb).await.map(Some)
            }
        }
    }

    /// A step does not return, and nothing may delay it. If it returns once no pin is held, then it
    /// has waited for one.
    async fn hangs(&mut self, actor: Actor, verb: &'static str) -> Result<Deviation> {
        let circumstances = self.circumstances(self.model.holders());
        let place = self.place(actor).await?;
        let said = |what: &str| format!("{what}: {}", place.join(" ← "));
        for holder in Actor::ALL {
            let Some(cast) = self.cast[holder.index()].as_mut() else {
                continue;
            };
            if holder != actor
                && let Some((held, page)) = cast.held.take()
            {
                held.release(&mut cast.worker, &page, self.rig).await?;
            }
        }
        let cast = self.cast[actor.index()]
            .as_mut()
            .context("an actor is gone")?;
        let done = match &cast.pending {
            Some((.., pending)) => cast.worker.done_within(pending, RETURN_DEADLINE).await?,
            None => None,
        };
        let (kind, said) = match done {
            Some(_) => (Kind::Needless, said("it waited for a pin of another page")),
            None => (Kind::Hang(place.clone()), said("it does not return")),
        };
        Ok(self.deviation(kind, verb, said, circumstances))
    }

    /// The functions in which an actor sleeps.
    pub(super) async fn place(&mut self, actor: Actor) -> Result<Vec<String>> {
        let pid = self.cast(actor)?.worker.pid();
        let task = sleeping(self.rig.watcher(), Task::Process(pid), &[]).await?;
        Ok(functions(task.as_ref()))
    }

    /// An actor has ended in a step, or the guest is gone.
    pub(super) fn killed(&mut self, verb: &'static str, error: WorkerError) -> Result<Deviation> {
        match error {
            WorkerError::Ended { .. } => {
                let none = Circumstances::default();
                Ok(self.deviation(Kind::Killed, verb, error.to_string(), none))
            }
            error => Err(error.into()),
        }
    }

    /// Asks the server for a file's attributes, as if those at hand were too old, and compares the size.
    pub(super) async fn stat(&mut self, file: FileId) -> Result<Option<Deviation>> {
        let path = self.path(file);
        let len = self.model.file(file).pages.len() as u64 * PAGE;
        let refresh = Removal::Stat { path: path.clone() };
        let pending = self.rig.watcher().begin(refresh).await?;
        let watcher = self.rig.watcher();
        let Some(done) = watcher.done_within(&pending, RETURN_DEADLINE).await? else {
            return Ok(Some(self.stat_hangs()));
        };
        done.outcome.context("asking for attributes")?;
        let stat = timeout(RETURN_DEADLINE, self.rig.vm().agent().stat(&path));
        let Ok(stat) = stat.await else {
            return Ok(Some(self.stat_hangs()));
        };
        let is = stat?.size;
        let said = format!("{} has {is} bytes, not {len}", file.letter());
        Ok((is != len).then(|| self.wrong_size("stat", said)))
    }

    fn stat_hangs(&self) -> Deviation {
        let (kind, none) = (Kind::Hang(Vec::new()), Circumstances::default());
        self.deviation(kind, "stat", "it does not return", none)
    }

    /// Kills an actor, and starts it anew.
    pub(super) async fn exit(&mut self, actor: Actor) -> Result<Option<Deviation>> {
        let cast = self.cast[actor.index()]
            .take()
            .context("an actor is gone")?;
        if let Some(found) = self.end(cast, "exit").await? {
            return Ok(Some(found));
        }
        let worker = self.start(actor).await?;
        self.cast[actor.index()] = Some(Cast::new(worker));
        Ok(None)
    }

    /// Kills a process. A deviation is that it does not end.
    pub(super) async fn end(
        &mut self,
        cast: Cast,
        verb: &'static str,
    ) -> Result<Option<Deviation>> {
        let pid = cast.worker.pid();
        cast.worker.end().await?;
        let task = sleeping(self.rig.watcher(), Task::Process(pid), &[]).await?;
        Ok(task.map(|task| {
            let place = functions(Some(&task));
            let said = format!("the process does not end: {}", place.join(" ← "));
            self.deviation(Kind::Hang(place), verb, said, Circumstances::default())
        }))
    }
}
