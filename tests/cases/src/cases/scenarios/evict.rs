// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The eviction of an inode with a page in use: its file has no name and no user any more, so that its
//! blocks are free.

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::Close;

use super::Scenario;
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, matrix};
use crate::host::{FileSystem, Rig};

/// An eviction by unlink(2) under a pin that needs neither mapping nor file.
macro_rules! evict {
    ($name:literal, $pin:ident, $about:literal) => {
        Scenario {
            name: $name,
            finding: |_| Some("4"),
            about: $about,
            source: "fs/ext4/inode.c and fs/xfs/xfs_inode.c: eviction drops the pages and frees the \
                     blocks; from 6.15 on dax_break_layout_final() waits before",
            fs: &[FileSystem::Ext4, FileSystem::Xfs],
            contract: Contract::MustWait,
            signs: Signs::DROPPED_PAGE,
            expected: evicted,
            run: |rig, fs, seen| Box::pin(evict(rig, fs, seen, Pin::$pin)),
        }
    };
}

pub(super) const SCENARIOS: &[Scenario] = &[
    evict!(
        "evict-under-transfer",
        AioRead,
        "asynchronous O_DIRECT read into a page; mapping and files are closed, and the file is \
         unlinked, which evicts its inode and frees its blocks"
    ),
    evict!(
        "evict-under-pipe",
        Vmsplice,
        "a page in a pipe; mapping and files are closed, and the file is unlinked, which evicts its \
         inode and frees its blocks"
    ),
];

fn evicted(kernel: KernelKind, _: FileSystem) -> Vec<Outcome> {
    match kernel {
        KernelKind::Newer | KernelKind::Fixed => vec![Outcome::Waited],
        KernelKind::Stock | KernelKind::NoBioWake | KernelKind::Seed => vec![Outcome::Harmed],
        // Of 6.12 and of 7.3: what makes these kernels is a wait at eviction or none.
        KernelKind::NoWait => vec![Outcome::Harmed, Outcome::Waited],
        KernelKind::NoWake => vec![Outcome::Harmed, Outcome::Stuck],
    }
}

async fn evict(rig: &mut Rig, fs: FileSystem, seen: &mut Observation, pin: Pin) -> Result<()> {
    close_and_remove(rig, fs, seen, (pin, RemovalKind::Unlink)).await
}

/// Closes mapping and files while the page is pinned, and removes what is left.
pub(super) async fn close_and_remove(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    (pin, kind): (Pin, RemovalKind),
) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, pin, seen).await?;
    for name in [fixture.page.map.clone(), "file".to_owned()] {
        fixture.pinner.ask(Close { name }).await?;
    }
    let name = fixture.files.file.clone();
    fixture.remover.ask(Close { name }).await?;
    seen.step("mapping and files are closed, and the page is still pinned");
    matrix::remove_and_verify(rig, fixture, held, kind, seen).await
}
