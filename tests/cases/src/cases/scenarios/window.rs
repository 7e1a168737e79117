// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window of FUSE is full, and Linux reclaims ranges.

use anyhow::{Result, bail};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::pins::Vmsplice;
use guest_agent::removals::Removal;

use super::{Scenario, evict, run};
use crate::cases::fixture::Fixture;
use crate::cases::{Allowed, KernelKind, Observation, Pin, RemovalKind, Signs, matrix};
use crate::host::{BREAK_LAYOUTS, FileSystem, Rig, Waiting};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "stale-range",
        finding: |_| Some("5"),
        about: "the reclaim worker and a reader that reclaims inline wait for the same pinned \
                page; after its release both think that they have the range",
        source: "fs/fuse/dax.c: inode_inline_reclaim_one_dmap() and the worker drop the lock to wait",
        fs: &[FileSystem::Fuse],
        contract: Contract::MustWait,
        signs: Signs {
            complaints: &[
                Allowed::oops("__list_del_entry_valid"),
                Allowed::oops("__list_del_entry_valid_or_report"),
                Allowed::oops("__list_add_valid"),
                Allowed::oops("__list_add_valid_or_report"),
            ],
            errors: &[],
        },
        expected: |kernel, _| match kernel {
            KernelKind::Stock | KernelKind::Newer | KernelKind::Fixed | KernelKind::NoBioWake => {
                // This is a race, which Linux wins about every second time. A kernel that checks
                // its lists panics at a broken list. Another kernel walks the list without end, or
                // lets two files share a range.
                vec![
                    Outcome::Waited,
                    Outcome::Panicked,
                    Outcome::Hung,
                    Outcome::Harmed,
                ]
            }
            kernel => super::super::expected(
                kernel,
                FileSystem::Fuse,
                Pin::Vmsplice,
                RemovalKind::ReclaimInline,
            ),
        },
        run: run!(stale_range),
    },
    Scenario {
        name: "eviction-under-pin",
        finding: |kernel| match kernel {
            KernelKind::Newer => Some("D"),
            _ => Some("4"),
        },
        about: "asynchronous O_DIRECT read into a page; mapping and files are closed, then \
                drop_caches evicts the inode, and its range is unmapped under the pin",
        source: "fs/fuse/dax.c: fuse_dax_inode_cleanup() at eviction waits for nothing",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| match fs {
            // The eviction itself waits, and so does every task that needs memory.
            FileSystem::Fuse if kernel == KernelKind::Newer => vec![Outcome::Waited],
            // Linux warns each time. Whether QEMU aborts too (G) depends on which of its threads
            // drops the last reference to the range's memory.
            FileSystem::Fuse => vec![Outcome::Complained, Outcome::VmDied],
            _ => vec![Outcome::Proceeded],
        },
        run: run!(eviction_under_pin),
    },
    Scenario {
        name: "self-deadlock",
        finding: |_| Some("20"),
        about: "one thread puts a page into a pipe, fills the window, and reads on: it waits for \
                itself to drain the pipe",
        source: "fs/fuse/dax.c: inline reclaim waits for a page that its own caller holds",
        fs: &[FileSystem::Fuse],
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, _| match kernel {
            KernelKind::Seed | KernelKind::NoWait => vec![Outcome::Proceeded],
            _ => vec![Outcome::Stuck],
        },
        run: run!(self_deadlock),
    },
];

async fn stale_range(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::ReclaimInline;
    let mut fixture = Fixture::set_up_without_filler(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::Vmsplice, seen).await?;
    matrix::remove_and_verify(rig, fixture, held, kind, seen).await
}

async fn eviction_under_pin(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    evict::close_and_remove(rig, fs, seen, (Pin::AioRead, RemovalKind::DropCaches)).await
}

/// The process that holds the pin itself reads on.
async fn self_deadlock(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::ReclaimInline;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let pin = Vmsplice {
        name: "pipe".to_owned(),
        map: fixture.page.map.clone(),
        at: fixture.page.at,
        len: fixture.page.len,
    };
    fixture.pinner.ask(pin).await?;
    fixture.fill_window(rig).await?;
    let Removal::Read { path, offset, len } = fixture.removal() else {
        bail!("inline reclaim is by reading");
    };
    let read = Removal::Read { path, offset, len };
    let pending = fixture.pinner.begin(read).await?;
    seen.step("the holder of the pipe reads on");
    match Waiting::of(&mut fixture.pinner, &pending, rig.watcher(), &BREAK_LAYOUTS).await? {
        Waiting::Blocked(task) => {
            seen.step("it waits for itself; only a signal that kills it ends that");
            seen.evidence.stack = Some(task.stack);
            seen.stuck = true;
        }
        Waiting::Over(done) => seen.returned = Some(done.outcome),
        Waiting::Elsewhere(task) => seen.is_elsewhere(task),
    }
    // The end of the process closes the pipe.
    matrix::close(rig, fixture, seen).await
}
