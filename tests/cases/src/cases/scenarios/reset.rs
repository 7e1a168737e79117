// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The share's device is reset while a page of its window is in use.

use std::time::Duration;

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{KernelLog, ResetDevice};

use super::{Scenario, run};
use crate::cases::fixture::Fixture;
use crate::cases::wait::does_not_return;
use crate::cases::{Allowed, Observation, Pin, RemovalKind, Signs, complaints, matrix};
use crate::host::{FileSystem, Rig, Who};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "reset-under-pin",
    finding: |_| Some("I"),
    about: "the share's device is taken away from its driver, and given back, while a page of its \
            window is in a pipe; the pipe is drained",
    source: "mm/memremap.c: memunmap_pages() removes the window's struct pages, and does not wait for \
             references to a page of a file system",
    fs: &[FileSystem::Fuse],
    contract: Contract::MustWait,
    signs: Signs {
        complaints: &[Allowed::oops("page_cache_pipe_buf_release")],
        errors: &[],
    },
    // The pipe gives what has the window's memory now. A kernel with CONFIG_DEBUG_VM panics where the
    // reference is dropped, if a struct page without references is there.
    expected: |_, _| vec![Outcome::Harmed, Outcome::Panicked],
    run: run!(reset),
}];

/// How long the device may take to go and come.
const RESET_DEADLINE: Duration = Duration::from_secs(30);

async fn reset(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    // The share is of no use afterwards.
    rig.spoil();
    let held = matrix::take(rig, &mut fixture, Pin::Vmsplice, seen).await?;
    let mut resetter = rig.actor("resetter").await?;
    let pending = resetter.begin(ResetDevice {}).await?;
    if let Some(done) = resetter.done_within(&pending, RESET_DEADLINE).await? {
        seen.step("the device has been reset, and the page is still pinned");
        seen.returned = Some(done.outcome);
    }
    let ended = held
        .release(&mut fixture.pinner, &fixture.page, rig)
        .await?;
    seen.step("the pin has been released and has ended");
    seen.harm = ended.leaked;
    if seen.returned.is_none() {
        match resetter.done_within(&pending, RESET_DEADLINE).await? {
            Some(_) => seen.finished = true,
            None => {
                let waiter = Who::Process(resetter.pid());
                does_not_return(rig.watcher(), waiter, &["memunmap_pages"], seen).await?;
            }
        }
    }
    let log = rig.watcher().ask(KernelLog {}).await?;
    seen.complaints = complaints(&log);
    seen.evidence.guest_log = log;
    Ok(())
}
