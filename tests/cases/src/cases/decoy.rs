// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Keeping Linux's reclaim worker out of a case.
//!
//! As soon as the window is full, a worker frees the range that was mapped first. Where it waits
//! for the very page of a case, it and the one who reclaims inline meet in a race that Linux loses
//! (`docs/findings.md`). A pinned page of another file, whose range is older, keeps it busy.

use std::time::Duration;

use anyhow::Result;
use guest_agent::files::{Create, Map, Open, Stacks};
use guest_agent::pins::{AioSubmit, Transfer};
use guest_agent::removals::Removal;
use tokio::time::{Instant, sleep};

use super::roles::RANGE;
use crate::host::{BREAK_LAYOUTS, Rig, Worker};

/// How long the worker may take to get to the decoy, which it does in milliseconds. One that has
/// not by then is that of a kernel that does not wait.
const WORKER_DEADLINE: Duration = Duration::from_secs(20);
/// Between two looks at a stack; nothing announces that a task sleeps.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PAGE: usize = 4096;
/// The actor's name for the disk.
const DISK: &str = "disk";
const SEED: u64 = 0xdec0;

/// Pins a page of a file of its own, whose range is the first that the worker goes for. It is
/// pinned by a write to the disk at `disk_at`, so that kernels that wait for nothing but pins wait
/// for it too, and until the disk answers.
pub(super) async fn decoy(rig: &mut Rig, path: &str, disk_at: u64) -> Result<Worker> {
    let mut decoy = rig.actor("decoy").await?;
    let (file, map) = ("file".to_owned(), "map".to_owned());
    let create = Create {
        path: path.to_owned(),
        len: RANGE,
        seed: SEED,
    };
    decoy.ask(create).await?;
    // What earlier cases left in the window is older.
    rig.watcher().ask(Removal::DropCaches).await?;
    for (name, path, direct) in [(file.as_str(), path, false), (DISK, "/dev/vda", true)] {
        let open = Open {
            name: name.to_owned(),
            path: path.to_owned(),
            direct,
        };
        decoy.ask(open).await?;
    }
    let mapping = Map {
        name: map.clone(),
        file,
        offset: 0,
        len: PAGE,
        private: false,
    };
    decoy.ask(mapping).await?;
    let transfer = Transfer {
        map,
        at: 0,
        len: PAGE,
        device: DISK.to_owned(),
        offset: disk_at,
        write: true,
    };
    let name = "pin".to_owned();
    decoy.ask(AioSubmit { name, transfer }).await?;
    rig.disk().held(disk_at).await?;
    Ok(decoy)
}

/// Whether the worker waits for a page, as it does soon if it ever does.
pub(super) async fn worker_waits(watcher: &mut Worker) -> Result<bool> {
    worker_comes_to(watcher, true).await
}

/// Whether the worker waits for no page any more, as is soon so if somebody wakes it.
pub(super) async fn worker_is_free(watcher: &mut Worker) -> Result<bool> {
    worker_comes_to(watcher, false).await
}

/// Whether the worker comes to wait for a page, or not to, in its time.
async fn worker_comes_to(watcher: &mut Worker, wait: bool) -> Result<bool> {
    let deadline = Instant::now() + WORKER_DEADLINE;
    let look = Stacks {
        pid: None,
        functions: vec!["fuse_dax_free_mem_worker".to_owned()],
    };
    loop {
        let found = watcher.ask(look.clone()).await?;
        let waits = |function: &&str| found.iter().any(|task| task.calls(function));
        if BREAK_LAYOUTS.iter().any(waits) == wait {
            return Ok(true);
        }
        if Instant::now() > deadline {
            return Ok(false);
        }
        sleep(LOOK_AGAIN).await;
    }
}
