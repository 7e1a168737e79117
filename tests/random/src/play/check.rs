// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Takes a step, and compares what comes of it with what the model says.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_cases::cases::complaints;
use dax_cases::host::{Who as Task, WorkerError, sleeping};
use guest_agent::files::KernelLog;
use guest_agent::worker::{Fault, Request, Sequence};
use qemu_guest::vm::agent::Signal;
use tokio::time::timeout;

use super::player::{Cast, Player};
use super::settle::{Settled, functions, settle};
use crate::deviation::{Circumstances, Deviation, Kind};
use crate::model::{Content, Owed};
use crate::program::{Act, Actor, FileId, Step, Who};

/// Length of a page.
pub(super) const PAGE: u64 = 4096;
/// How long a step may take that nothing delays. One takes milliseconds.
pub(super) const RETURN_DEADLINE: Duration = Duration::from_secs(20);
/// How long a step that may wait is looked at until it counts as waiting somewhere.
const LOOK: Duration = Duration::from_secs(5);
/// How long the answer of a step that has returned may be under way.
const UNDER_WAY: Duration = Duration::from_millis(2);

impl Player<'_> {
    /// Takes a step.
    pub(super) async fn step(&mut self, step: Step) -> Result<Option<Deviation>> {
        if let Some(found) = self.poll(UNDER_WAY).await? {
            return Ok(Some(found));
        }
        let verb = step.act.verb();
        self.played.at = (self.at + 1, verb);
        let seed = self.model.next_seed();
        let before = self.model.clone();
        let circumstances = self.circumstances(before.holders());
        let owed = self.model.step(step);
        let owed = owed.with_context(|| format!("{step} is not possible there"))?;
        let found = match (step.who, step.act) {
            (Who::Host, act) => {
                self.act_on_host(act, seed)?;
                None
            }
            (Who::Actor(actor), Act::Release) => self.release(actor, &before).await?,
            (Who::Actor(actor), Act::Pin { file, page, pin }) => {
                self.pin(actor, file, page, pin).await?
            }
            (Who::Actor(_), Act::Stat { file }) => self.stat(file).await?,
            (Who::Actor(actor), Act::Exit) => self.exit(actor).await?,
            (Who::Actor(actor), Act::Nudge) => {
                let worker = &self.cast(actor)?.worker;
                worker.signal(Signal(libc::SIGSTOP));
                worker.signal(Signal(libc::SIGCONT));
                None
            }
            (Who::Actor(actor), act) => {
                let content = match act {
                    Act::Load { file, page } => before.content(file, page),
                    _ => Content::Unknown,
                };
                let requests = self.requests(actor, act, &owed, content, seed)?;
                self.act(actor, verb, &owed, requests).await?
            }
        };
        if found.is_some() {
            return Ok(found);
        }
        if let Some(found) = self.complaint(verb, circumstances).await? {
            return Ok(Some(found));
        }
        self.compare_named_pages(verb)
    }

    /// Looks whether steps have returned that had not, and should not have.
    pub(super) async fn poll(&mut self, limit: Duration) -> Result<Option<Deviation>> {
        for actor in Actor::ALL {
            let Some(cast) = self.cast[actor.index()].as_mut() else {
                continue;
            };
            let Some((_, verb, pending)) = &cast.pending else {
                continue;
            };
            let verb = *verb;
            let done = match cast.worker.done_within(pending, limit).await {
                Ok(Some(done)) => done,
                Ok(None) => continue,
                Err(error) => return self.killed(verb, error).map(Some),
            };
            cast.pending = None;
            if let Some(found) = self.returned(actor, verb, done.outcome) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A step that may have had to wait has returned.
    fn returned(
        &self,
        actor: Actor,
        verb: &'static str,
        outcome: Result<Vec<serde_json::Value>, Fault>,
    ) -> Option<Deviation> {
        let must = self.model.must(actor);
        if must.is_empty() || outcome.is_err() {
            return self.judge(verb, outcome, None);
        }
        let holders: Vec<&str> = must.iter().map(|holder| holder.name()).collect();
        let said = format!(
            "{verb} of {} has returned, and the page is still pinned by {}",
            actor.name(),
            holders.join(" and ")
        );
        let circumstances = self.circumstances(must);
        Some(self.deviation(Kind::Early, verb, said, circumstances))
    }

    /// Judges the answer of a step that was free to return.
    pub(super) fn judge(
        &self,
        verb: &'static str,
        outcome: Result<Vec<serde_json::Value>, Fault>,
        errno: Option<i32>,
    ) -> Option<Deviation> {
        let none = Circumstances::default();
        match (outcome, errno) {
            (Ok(answers), None) => {
                let said = answers.last().and_then(serde_json::Value::as_str);
                let wrong = said.filter(|_| verb == "load")?;
                Some(self.deviation(Kind::Bytes, verb, wrong, none))
            }
            (Ok(_), Some(errno)) => {
                let said = format!("it succeeded, and had to fail with error {errno}");
                Some(self.deviation(Kind::Errno(None), verb, said, none))
            }
            (Err(fault), errno) if errno.is_some() && fault.errno == errno => None,
            (Err(fault), _) => {
                Some(self.deviation(Kind::Errno(fault.errno), verb, fault.to_string(), none))
            }
        }
    }

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

    /// Reads the kernel's log. A complaint that is known is counted, and no deviation.
    pub(super) async fn complaint(
        &mut self,
        verb: &'static str,
        before: Circumstances,
    ) -> Result<Option<Deviation>> {
        let log = self.rig.watcher().ask(KernelLog {}).await?;
        for complaint in complaints(&log) {
            let function = complaint.function.clone();
            let function = function.unwrap_or_else(|| "an unnamed function".to_owned());
            let kind = Kind::Complaint(function);
            let found = self.deviation(kind, verb, complaint.line, before);
            if found.finding().is_none() {
                return Ok(Some(found));
            }
            self.note(&found);
            let known = self.played.known.entry(found.signature());
            known.or_insert((found, 0)).1 += 1;
        }
        Ok(None)
    }

    /// Compares a size.
    async fn stat(&mut self, file: FileId) -> Result<Option<Deviation>> {
        let path = self.path(file);
        let len = self.model.file(file).pages.len() as u64 * PAGE;
        let stat = timeout(RETURN_DEADLINE, self.rig.vm().agent().stat(&path));
        let Ok(stat) = stat.await else {
            let none = Circumstances::default();
            let said = "it does not return";
            return Ok(Some(self.deviation(
                Kind::Hang(Vec::new()),
                "stat",
                said,
                none,
            )));
        };
        let is = stat?.size;
        let said = format!("{} has {is} bytes, not {len}", file.letter());
        Ok((is != len).then(|| self.wrong_size("stat", said)))
    }

    /// Kills an actor, and starts it anew.
    async fn exit(&mut self, actor: Actor) -> Result<Option<Deviation>> {
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
