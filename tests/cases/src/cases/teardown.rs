// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The end of a fixture: its actors end, and its files are removed.

use std::time::Duration;

use anyhow::Result;
use guest_agent::files::Stacks;
use guest_agent::removals::Removal;

use super::fixture::Fixture;
use crate::host::Rig;

/// How long it may take to remove a case's files.
const TEAR_DOWN_DEADLINE: Duration = Duration::from_secs(60);

impl Fixture {
    /// Ends the actors and removes the files. Returns the stack of a removal that hangs: a task
    /// still holds the file's locks, and the guest can't be used any more.
    ///
    /// # Errors
    ///
    /// If the guest fails.
    pub async fn tear_down(self, rig: &mut Rig) -> Result<Option<String>> {
        // A process with a transfer in flight can't end.
        rig.release_all();
        let paths = self.files.paths();
        // The removal of a file that an actor still has open is a case of its own
        // (`docs/findings.md`, F).
        for actor in [self.pinner, self.remover].into_iter().chain(self.filler) {
            actor.end().await?;
        }
        let mut cleaner = rig.actor("cleaner").await?;
        for path in paths {
            let gone = cleaner.begin(Removal::Unlink { path }).await?;
            // Whether the file was there depends on the case.
            if cleaner
                .done_within(&gone, TEAR_DOWN_DEADLINE)
                .await?
                .is_none()
            {
                return Ok(Some(hung(rig, cleaner.pid()).await?));
            }
        }
        Ok(None)
    }
}

/// The stacks of a process that hangs, and of all tasks that wait for an answer of the share. The
/// task that has to answer may be among them.
pub(super) async fn hung(rig: &mut Rig, pid: u32) -> Result<String> {
    let look = |pid: Option<u32>, functions: &[&str]| Stacks {
        pid,
        functions: functions.iter().map(ToString::to_string).collect(),
    };
    let own = rig.watcher().ask(look(Some(pid), &[])).await?;
    let mut stack = own
        .into_iter()
        .next()
        .map_or_else(|| "it runs".to_owned(), |task| task.stack);
    let others = rig.watcher().ask(look(None, &["request_wait_answer"]));
    for task in others.await?.into_iter().filter(|task| task.pid != pid) {
        stack += &format!("\n{} {}:\n{}", task.comm, task.pid, task.stack);
    }
    Ok(stack)
}
