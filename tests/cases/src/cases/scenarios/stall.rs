// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One pinned page blocks the reclaim worker of FUSE, and the whole share waits.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Close, Create};
use guest_agent::removals::Removal;

use super::props::{loading, open};
use super::{Scenario, race, run};
use crate::cases::files::RANGE;
use crate::cases::fixture::Fixture;
use crate::cases::wait::does_not_return;
use crate::cases::{Allowed, KernelKind, Observation, RemovalKind, Signs, matrix};
use crate::host::{BIG_BLOCKS, FileSystem, Rig, Waiting, Who};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "worker-stalls-others",
        finding: |kernel| match kernel {
            KernelKind::NoBioWake => Some("A"),
            _ => Some("18"),
        },
        about: "the window is full of clean ranges and one with a pinned page, the oldest; a \
                third file's first fault waits until the pin ends",
        source: "fs/fuse/dax.c: try_to_free_dmap_chunks() waits for the first range in use instead \
                 of trying the next",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: waits_behind_worker,
        run: run!(worker_stalls_others),
    },
    Scenario {
        name: "umount-behind-worker",
        finding: |kernel| match kernel {
            KernelKind::NoBioWake => Some("A"),
            _ => Some("19"),
        },
        about: "the reclaim worker waits for a pinned page; all files are closed and the share is \
                unmounted: umount(2) hangs until the pin ends",
        source: "fs/fuse/virtio_fs.c: virtio_fs_conn_destroy() calls cancel_delayed_work_sync()",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: waits_behind_worker,
        run: |rig, fs, seen| Box::pin(umount(rig, fs, seen, false)),
    },
    Scenario {
        name: "umount-with-submount",
        finding: |_| Some("E"),
        about: "the same, where the guest has visited another file system of the host in the share, \
                which it mounts by itself",
        source: "fs/fuse/virtio_fs.c: virtio_kill_sb() stops the worker only with the connection's \
                 last super block, and the worker holds an inode of this one",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs {
            complaints: &[Allowed::oops("generic_shutdown_super")],
            errors: &[],
        },
        expected: |kernel, _| match kernel {
            KernelKind::NoWait => vec![Outcome::Proceeded],
            // The case does not get so far.
            KernelKind::NoWake => vec![Outcome::Stuck],
            _ => vec![Outcome::Panicked],
        },
        run: |rig, fs, seen| Box::pin(umount(rig, fs, seen, true)),
    },
];

fn waits_behind_worker(kernel: KernelKind, _: FileSystem) -> Vec<Outcome> {
    match kernel {
        // The worker of this kernel never waits.
        KernelKind::NoWait => vec![Outcome::Proceeded],
        // The filler is a transfer, whose end does not wake the worker on these kernels.
        KernelKind::NoWake | KernelKind::NoBioWake => vec![Outcome::Stuck],
        _ => vec![Outcome::Waited],
    }
}

/// How long the wait may last once the pin has ended.
const WAKE_DEADLINE: Duration = Duration::from_secs(60);
const SEED: u64 = 0x7412d;

async fn worker_stalls_others(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::ReclaimInline).await?;
    seen.stands(&fixture);
    let path = format!("{}-third", fixture.files.file);
    let mut third = rig.actor("third").await?;
    let (len, seed) = (RANGE, SEED);
    let create = Create {
        path: path.clone(),
        len,
        seed,
    };
    third.ask(create).await?;
    open(&mut third, &path, &path).await?;
    fixture.fill_window(rig).await?;
    seen.step("the window is full, and the worker waits for the filler's page");
    let pending = third.begin(loading(&path, 0)).await?;
    let faults = ["__fuse_dax_fault", "fuse_dax_fault", "fuse_dax_huge_fault"];
    match Waiting::of(&mut third, &pending, rig.watcher(), &faults).await? {
        Waiting::Blocked(task) => {
            let state = task.state;
            seen.step(format_args!(
                "the third file's fault waits, in state {state}"
            ));
            seen.evidence.stack = Some(task.stack.clone());
            seen.blocked = Some(task);
            fixture.release_filler(rig);
            seen.step("the filler's page is released");
            let done = third.done_within(&pending, WAKE_DEADLINE).await?;
            match done {
                Some(done) => done.outcome.context("the third file's fault")?,
                None => {
                    let waiter = Who::Process(third.pid());
                    does_not_return(rig.watcher(), waiter, &faults, seen).await?;
                }
            }
        }
        Waiting::Over(done) => seen.returned = Some(done.outcome),
        Waiting::Elsewhere(task) => seen.is_elsewhere(task),
    }
    third.end().await?;
    rig.watcher().ask(Removal::Unlink { path }).await?;
    race::close(rig, fixture, seen).await
}

async fn umount(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    submount: bool,
) -> Result<()> {
    if submount {
        rig.needs_big_blocks()?;
    }
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::ReclaimInline).await?;
    seen.stands(&fixture);
    fixture.fill_window(rig).await?;
    seen.step("the window is full, and the worker waits for the filler's page");
    if submount {
        visit_submount(&mut fixture, fs).await?;
        seen.step("a file system in the share has been visited");
    }
    let filler = fixture.filler.as_mut().context("there is a filler")?;
    for name in ["map", "file"] {
        let name = name.to_owned();
        filler.ask(Close { name }).await?;
    }
    for name in [fixture.page.map.clone(), "file".to_owned()] {
        fixture.pinner.ask(Close { name }).await?;
    }
    let name = fixture.files.file.clone();
    fixture.remover.ask(Close { name }).await?;
    let target = fs.mount_point().to_owned();
    let pending = fixture.remover.begin(Removal::Umount { target }).await?;
    seen.step("all files are closed; umount begins");
    // fuse_dax_cancel_work() leaves no frame: it ends by jumping to what it calls. A fixed kernel waits
    // for the page of an inode that goes.
    let ends = ["__flush_work", "dax_break_layout_final"];
    match Waiting::of(&mut fixture.remover, &pending, rig.watcher(), &ends).await? {
        Waiting::Blocked(task) => {
            seen.step(format_args!("umount waits, in state {}", task.state));
            seen.evidence.stack = Some(task.stack.clone());
            seen.blocked = Some(task);
            fixture.release_filler(rig);
            seen.step("the filler's page is released");
            let done = fixture.remover.done_within(&pending, WAKE_DEADLINE).await?;
            match done {
                Some(done) => done.outcome.context("umount")?,
                None => {
                    let waiter = Who::Process(fixture.remover.pid());
                    does_not_return(rig.watcher(), waiter, &ends, seen).await?;
                }
            }
        }
        Waiting::Over(done) => seen.returned = Some(done.outcome),
        Waiting::Elsewhere(task) => seen.is_elsewhere(task),
    }
    if seen.hangs() {
        return race::close(rig, fixture, seen).await;
    }
    if !matches!(seen.returned, Some(Err(_))) {
        rig.mount(fs).await?;
        seen.step("the share is mounted again");
    }
    matrix::close(rig, fixture, seen).await
}

async fn visit_submount(fixture: &mut Fixture, fs: FileSystem) -> Result<()> {
    let path = format!("{}/{BIG_BLOCKS}/visited", fs.mount_point());
    let (len, seed) = (1, SEED);
    fixture.remover.ask(Create { path, len, seed }).await?;
    Ok(())
}
