// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether an op waits in the kernel, and where. The task's kernel stack tells, never the elapsed
//! time.

use std::time::Duration;

use guest_agent::files::{Stacks, Task};
use guest_agent::worker::Op;
use tokio::time::Instant;

use super::{Done, Pending, Worker, WorkerError};

/// Functions that wait until the pages of a file are idle. Those of 6.15 and newer come last.
pub const BREAK_LAYOUTS: [&str; 7] = [
    "fuse_dax_break_layouts",
    "__fuse_dax_break_layouts",
    "ext4_break_layouts",
    "xfs_break_dax_layouts",
    "dax_break_layout",
    "dax_break_layout_inode",
    "dax_break_layout_final",
];

/// How long it may take until an op has ended or is seen waiting.
const VERDICT_DEADLINE: Duration = Duration::from_secs(120);
/// Between two reads of a stack: Linux does not announce that a task sleeps.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What happened to an op.
#[derive(Debug)]
pub enum Waiting<Y> {
    /// The op sleeps in one of the functions.
    Blocked(Task),
    /// The op is over.
    Over(Done<Y>),
    /// The op is neither over nor waiting there. The task, if it sleeps in another place.
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

    /// The same, if a kernel worker whose work is `work` waits on the actor's behalf.
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

/// The task whose stack is read.
#[derive(Clone, Copy, Debug)]
pub enum Who<'a> {
    /// A process.
    Process(u32),
    /// A kernel worker with this function on its stack.
    Worker(&'a str),
}

/// The task, if it sleeps in one of `functions`; anywhere, if there are none.
///
/// # Errors
///
/// If the watcher has ended.
pub async fn sleeping(
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
