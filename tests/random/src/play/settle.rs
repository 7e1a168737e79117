// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether a step that has begun returns or waits.

use std::time::Duration;

use dax_cases::host::{BREAK_LAYOUTS, Done, Pending, Who, Worker, WorkerError, sleeping};
use guest_agent::files::Task;
use guest_agent::worker::Sequence;
use tokio::time::Instant;

/// Between two looks: Linux does not announce that a task sleeps.
const LOOK_AGAIN: Duration = Duration::from_millis(15);
/// How many looks in a row have to find a task at the same place.
const SAME: u32 = 3;

/// Functions in which a step may wait for another one, besides those that break layouts: the locks
/// of an inode, and a range of the window.
const OTHER_WAITS: [&str; 6] = [
    "rwsem_down_write_slowpath",
    "rwsem_down_read_slowpath",
    "alloc_dax_mapping_reclaim",
    "fuse_iomap_begin",
    "__fuse_dax_fault",
    "fuse_dax_iomap_begin",
];

/// What became of a step.
pub(super) enum Settled {
    /// It has returned.
    Over(Done<Vec<serde_json::Value>>),
    /// It sleeps where a step may wait.
    Waits(Task),
    /// It has not returned, and it is not seen waiting.
    Elsewhere,
}

/// Waits until a step has returned, or is seen waiting, or the limit is reached.
pub(super) async fn settle(
    worker: &mut Worker,
    pending: &Pending<Sequence>,
    watcher: &mut Worker,
    limit: Duration,
) -> Result<Settled, WorkerError> {
    let deadline = Instant::now() + limit;
    let (mut same, mut before): (u32, Option<Task>) = (0, None);
    loop {
        if let Some(done) = worker.done_within(pending, LOOK_AGAIN).await? {
            return Ok(Settled::Over(done));
        }
        let now = sleeping(watcher, Who::Process(worker.pid()), &[]).await?;
        let waits = |task: &Task| {
            let mut places = BREAK_LAYOUTS.iter().chain(&OTHER_WAITS);
            places.any(|place| task.calls(place))
        };
        if now.as_ref().is_some_and(waits) && now == before {
            same += 1;
        } else {
            same = 0;
        }
        before = now;
        if same >= SAME
            && let Some(task) = before
        {
            return Ok(Settled::Waits(task));
        }
        if Instant::now() > deadline {
            return Ok(Settled::Elsewhere);
        }
    }
}

/// The functions of a task's stack, without offsets and the compiler's suffixes.
pub(super) fn functions(task: Option<&Task>) -> Vec<String> {
    let names = task.into_iter().flat_map(Task::functions);
    let plain = names.map(|name| name.split('.').next().unwrap_or(name));
    plain.map(str::to_owned).collect()
}
