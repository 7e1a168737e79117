// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Takes a step, and compares what comes of it with what the model says.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_cases::cases::complaints;
use guest_agent::files::KernelLog;
use guest_agent::worker::Fault;
use qemu_guest::vm::agent::Signal;

use super::player::Player;
use crate::deviation::{Circumstances, Deviation, Kind};
use crate::model::Content;
use crate::program::{Act, Actor, Step, Who};

/// Length of a page.
pub(super) const PAGE: u64 = 4096;
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
    pub(super) fn returned(
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
}
