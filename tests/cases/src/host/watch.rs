// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether an op waits in the kernel, and where: told by the task's kernel stack, never by the
//! time it takes.

use std::time::Duration;

use guest_agent::files::{Stacks, Task};
use guest_agent::worker::Op;
use tokio::time::Instant;

use super::{Done, Pending, Worker, WorkerError};

/// Functions that wait for the pages of a file to be idle. Those of 6.15 and newer come last.
pub const BREAK_LAYOUTS: [&str; 7] = [
    "fuse_dax_break_layouts",
    "__fuse_dax_break_layouts",
    "ext4_break_layouts",
    "xfs_break_dax_layouts",
    "dax_break_layout",
    "dax_break_layout_inode",
    "dax_break_layout_final",
];

/// How long it may take until an op has either ended or is seen to wait.
const VERDICT_DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks at a stack; nothing announces that a task sleeps.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What became of an op.
#[derive(Debug)]
pub enum Waiting<Y> {
    /// It sleeps in one of the functions.
    Blocked(Task),
    /// It is over.
    Over(Done<Y>),
    /// It is neither over nor waiting there. Where it sleeps instead, if it does.
    Elsewhere(Option<Task>),
}

impl<Y> Waiting<Y> {
    /// Waits until `pending` of `actor` is over, or seen twice in a row to sleep in one of
    /// `functions`.
    ///
    /// # Errors
    ///
    /// If an actor has ended.
    pub async fn of<V: Op<Yield = Y>>(
        actor: &mut Worker,
        pending: &Pending<V>,
        watcher: &mut Worker,
        functions: &[&str],
    ) -> Result<Self, WorkerError> {
        let pid = actor.pid();
        Self::seen(actor, pending, watcher, Who::Process(pid), functions).await
    }

    /// The same, where a kernel worker whose work is `work` waits on the actor's behalf.
    ///
    /// # Errors
    ///
    /// If an actor has ended.
    pub async fn of_worker<V: Op<Yield = Y>>(
        actor: &mut Worker,
        pending: &Pending<V>,
        watcher: &mut Worker,
        work: &str,
    ) -> Result<Self, WorkerError> {
        Self::seen(actor, pending, watcher, Who::Worker(work), &BREAK_LAYOUTS).await
    }

    async fn seen<V: Op<Yield = Y>>(
        actor: &mut Worker,
        pending: &Pending<V>,
        watcher: &mut Worker,
        who: Who<'_>,
        functions: &[&str],
    ) -> Result<Self, WorkerError> {
        let deadline = Instant::now() + VERDICT_DEADLINE;
        let mut seen = None;
        loop {
            if let Some(done) = actor.done_within(pending, LOOK_AGAIN).await? {
                return Ok(Self::Over(done));
            }
            let found = sleeping(watcher, who, functions).await?;
            match (found, seen) {
                (Some(now), Some(before)) if now == before => return Ok(Self::Blocked(now)),
                (found, _) => seen = found,
            }
            if Instant::now() > deadline {
                let itself = Who::Process(actor.pid());
                return Ok(Self::Elsewhere(sleeping(watcher, itself, &[]).await?));
            }
        }
    }
}

/// Whose stack is looked at.
#[derive(Clone, Copy)]
enum Who<'a> {
    /// A process's.
    Process(u32),
    /// That of a kernel worker with this function in it.
    Worker(&'a str),
}

async fn sleeping(
    watcher: &mut Worker,
    who: Who<'_>,
    functions: &[&str],
) -> Result<Option<Task>, WorkerError> {
    let look = Stacks {
        pid: match who {
            Who::Process(pid) => Some(pid),
            Who::Worker(_) => None,
        },
        functions: functions.iter().map(ToString::to_string).collect(),
    };
    let found = watcher.ask(look).await?.into_iter();
    Ok(found.into_iter().find(|task| match who {
        Who::Process(_) => true,
        Who::Worker(work) => task.calls(work),
    }))
}
