// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The end of a program: all pins are released, all files are compared, and nothing is left.

use std::time::Duration;

use anyhow::Result;
use dax_cases::host::{Who as Task, sleeping};
use guest_agent::removals::Removal;
use qemu_guest::vm::agent::Signal;

use super::player::Player;
use super::settle::functions;
use crate::deviation::{Circumstances, Deviation, Kind};
use crate::program::{Act, Step, Who};

/// How long it may take to remove the files.
const CLEAN_DEADLINE: Duration = Duration::from_secs(40);
/// How long a step may take to return after a signal.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(5);

impl Player<'_> {
    /// Releases what is held, and compares all files.
    pub(super) async fn finish(&mut self) -> Result<Option<Deviation>> {
        for actor in self.model.holders() {
            let step = Step {
                who: Who::Actor(actor),
                act: Act::Release,
            };
            if let Some(found) = self.step(step).await? {
                return Ok(Some(found));
            }
        }
        // While a page is mapped, the comparison's own open(2) is finding C.
        if let Some(found) = self.end_actors().await? {
            return Ok(Some(found));
        }
        self.compare_all().await
    }

    async fn end_actors(&mut self) -> Result<Option<Deviation>> {
        for index in 0..self.cast.len() {
            if let Some(cast) = self.cast[index].take()
                && let Some(found) = self.end(cast, "end").await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// A signal ends a wait that only a wake-up was missing to. Returns whether it has ended all
    /// waits, so that the guest is of use again.
    async fn are_woken(&mut self) -> Result<bool> {
        let deviation = self.played.deviation.as_ref();
        if !deviation.is_some_and(|found| matches!(found.kind, Kind::Hang(_))) {
            return Ok(false);
        }
        self.rig.release_all();
        for cast in self.cast.iter_mut().flatten() {
            let Some((.., pending)) = &cast.pending else {
                continue;
            };
            cast.worker.signal(Signal(libc::SIGSTOP));
            cast.worker.signal(Signal(libc::SIGCONT));
            if cast
                .worker
                .done_within(pending, SIGNAL_DEADLINE)
                .await?
                .is_none()
            {
                return Ok(false);
            }
        }
        self.played.wedged = false;
        Ok(true)
    }

    /// Ends the actors and removes the files, so that the guest can play another program.
    pub(super) async fn clean_up(&mut self) -> Result<()> {
        if self.played.wedged && !self.are_woken().await? {
            return Ok(());
        }
        // A process with a transfer in flight can't end.
        self.rig.release_all();
        let found = self.end_actors().await?;
        if self.found(found) {
            self.played.wedged = true;
            return Ok(());
        }
        let mut removals: Vec<Removal> = self
            .all_files()
            .map(|file| Removal::Unlink {
                path: self.path(file),
            })
            .collect();
        removals.push(Removal::DropCaches);
        let mut cleaner = self.rig.actor("cleaner").await?;
        for removal in removals {
            // Whether a file still has its name depends on the program.
            let pending = cleaner.begin(removal).await?;
            if cleaner
                .done_within(&pending, CLEAN_DEADLINE)
                .await?
                .is_none()
            {
                let who = Task::Process(cleaner.pid());
                let task = sleeping(self.rig.watcher(), who, &[]).await?;
                let place = functions(task.as_ref());
                let said = format!("a file can't be removed: {}", place.join(" ← "));
                let none = Circumstances::default();
                let found = self.deviation(Kind::Hang(place), "end", said, none);
                self.found(Some(found));
                self.played.wedged = true;
                return Ok(());
            }
        }
        cleaner.end().await?;
        let none = Circumstances::default();
        let found = self.complaint("end", none).await?;
        self.found(found);
        Ok(())
    }
}
