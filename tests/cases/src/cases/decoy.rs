// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Keeping Linux's reclaim worker out of a case.
//!
//! As soon as the window is full, a worker frees the range that was mapped first. Where it waits
//! for the very page of a case, it and the one who reclaims inline meet in a race that Linux loses
//! (`docs/findings.md`). A pinned page of another file, whose range is older, keeps it busy.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};

use super::scene::RANGE;
use crate::files::{Create, Map, Open, Stacks};
use crate::host::{Actor, BREAK_LAYOUTS, Rig};
use crate::pins::Vmsplice;
use crate::removals::Removal;

/// How long Linux may take to see that the window is full.
const WORKER_DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks at a stack; nothing announces that a task sleeps.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const PAGE: usize = 4096;
const SEED: u64 = 0xdec0;

/// Pins a page of a file of its own, whose range is the first that the worker goes for. The page
/// is free again when the actor is dropped.
pub(super) async fn decoy(rig: &mut Rig, path: &str) -> Result<Actor> {
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
    let open = Open {
        name: file.clone(),
        path: path.to_owned(),
        direct: false,
    };
    decoy.ask(open).await?;
    let mapping = Map {
        name: map.clone(),
        file,
        offset: 0,
        len: PAGE,
        private: false,
    };
    decoy.ask(mapping).await?;
    let pin = Vmsplice {
        name: "pipe".to_owned(),
        map,
        at: 0,
        len: PAGE,
    };
    decoy.ask(pin).await?;
    Ok(decoy)
}

/// Waits until the worker waits for a page.
pub(super) async fn worker_waits(watcher: &mut Actor) -> Result<()> {
    let deadline = Instant::now() + WORKER_DEADLINE;
    let look = Stacks {
        pid: None,
        functions: vec!["fuse_dax_free_mem_worker".to_owned()],
    };
    loop {
        let found = watcher.ask(look.clone()).await?;
        let waits = |function: &&str| found.iter().any(|task| task.calls(function));
        if BREAK_LAYOUTS.iter().any(waits) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "waited {WORKER_DEADLINE:?} in vain for the reclaim worker to wait for the decoy: {found:?}"
        );
        sleep(LOOK_AGAIN).await;
    }
}
