// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Keeps Linux's reclaim worker out of a case.
//!
//! As soon as the window is full, a worker frees the range that was mapped first. If the worker
//! waits for the page of a case, the worker and the task that reclaims inline race, and Linux loses
//! the race (`docs/findings.md`). So the case has a filler file: its range is older, and its page is
//! pinned, so that it keeps the worker busy.

use std::time::Duration;

use anyhow::Result;
use guest_agent::files::{Create, Map, Open, Stacks};
use guest_agent::pins::{AioSubmit, Transfer};
use guest_agent::removals::Removal;
use tokio::time::{Instant, sleep};

use super::files::RANGE;
use crate::host::{BREAK_LAYOUTS, Rig, Worker};

/// How long the worker may take to reach the filler. It normally takes milliseconds. A worker that
/// has not reached the filler by then belongs to a kernel that does not wait.
const WORKER_DEADLINE: Duration = Duration::from_secs(20);
/// Between two reads of a stack: Linux does not announce that a task sleeps.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PAGE: usize = 4096;
/// The actor's name for the disk.
const DISK: &str = "disk";
const SEED: u64 = 0xdec0;

/// Pins a page of a file of its own, whose range is the first that the worker frees. A write to the
/// disk at `disk_at` pins the page until the disk answers. Direct I/O takes FOLL_PIN, so kernels
/// that wait only for pins wait for this page too.
pub(super) async fn pin_filler(rig: &mut Rig, path: &str, disk_at: u64) -> Result<Worker> {
    let mut filler = rig.actor("filler").await?;
    let (file, map) = ("file".to_owned(), "map".to_owned());
    let create = Create {
        path: path.to_owned(),
        len: RANGE,
        seed: SEED,
    };
    filler.ask(create).await?;
    // The ranges that earlier cases left in the window are older.
    rig.watcher().ask(Removal::DropCaches).await?;
    for (name, path, direct) in [(file.as_str(), path, false), (DISK, "/dev/vda", true)] {
        let open = Open {
            name: name.to_owned(),
            path: path.to_owned(),
            direct,
        };
        filler.ask(open).await?;
    }
    let mapping = Map {
        name: map.clone(),
        file,
        offset: 0,
        len: PAGE,
        private: false,
    };
    filler.ask(mapping).await?;
    let transfer = Transfer {
        map,
        at: 0,
        len: PAGE,
        device: DISK.to_owned(),
        offset: disk_at,
        write: true,
    };
    let name = "pin".to_owned();
    filler.ask(AioSubmit { name, transfer }).await?;
    rig.disk().held(disk_at).await?;
    Ok(filler)
}

/// Waits until the reclaim worker waits for a page; false if it does not within its deadline.
pub(super) async fn worker_waits(watcher: &mut Worker) -> Result<bool> {
    worker_comes_to(watcher, true).await
}

/// Waits until the reclaim worker no longer waits for a page; false if it still does at its
/// deadline.
pub(super) async fn worker_is_free(watcher: &mut Worker) -> Result<bool> {
    worker_comes_to(watcher, false).await
}

/// Waits until the worker does (`wait`) or does not wait for a page; false at its deadline.
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
