// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Controls: what other cases do under a pin, without a pin. Nothing may wait, no byte may be wrong,
//! and the kernel has nothing to complain of.
//!
//! One page of the file has been stored to, and another one has only been loaded.

use anyhow::{Context as _, Result};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Close, Touch};

use super::{Scenario, race, run};
use crate::cases::files::PAGE;
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, RemovalKind, Signs};
use crate::host::{FileSystem, Rig};

/// A removal without a pin.
macro_rules! unpinned {
    ($name:literal, $kind:ident, $fs:expr) => {
        Scenario {
            name: $name,
            finding: |kernel| drops_loaded(kernel, RemovalKind::$kind).then_some("17"),
            about: concat!(
                "without a pin, a control: the removal of ",
                $name,
                ", with a page that was stored to and one that was only loaded"
            ),
            source: "nothing refers to the pages but page tables",
            fs: $fs,
            contract: Contract::MayProceed,
            signs: Signs::DROPPED_PAGE,
            expected: |kernel, fs| match fs == FileSystem::Fuse
                && drops_loaded(kernel, RemovalKind::$kind)
            {
                true => vec![Outcome::Complained],
                false => vec![Outcome::Finished],
            },
            run: |rig, fs, seen| Box::pin(unpinned(rig, fs, seen, RemovalKind::$kind)),
        }
    };
}

/// On xfs alone.
const XFS: &[FileSystem] = &[FileSystem::Xfs];
/// On a share alone.
const FUSE: &[FileSystem] = &[FileSystem::Fuse];
/// On block devices.
const BLOCKS: &[FileSystem] = &[FileSystem::Ext4, FileSystem::Xfs];

pub(super) const SCENARIOS: &[Scenario] = &[
    unpinned!("unpinned-truncate", Truncate, &FileSystem::ALL),
    unpinned!("unpinned-truncate-middle", TruncateMiddle, &FileSystem::ALL),
    unpinned!("unpinned-o-trunc", OpenTruncate, &FileSystem::ALL),
    unpinned!("unpinned-punch", Punch, &FileSystem::ALL),
    unpinned!("unpinned-zero-range", Zero, &FileSystem::ALL),
    unpinned!("unpinned-collapse", Collapse, BLOCKS),
    unpinned!("unpinned-insert", Insert, BLOCKS),
    unpinned!("unpinned-fallocate", Fallocate, &FileSystem::ALL),
    unpinned!("unpinned-clone", Clone, XFS),
    unpinned!("unpinned-dedupe", Dedupe, XFS),
    unpinned!("unpinned-copy-over", CopyOver, &FileSystem::ALL),
    unpinned!("unpinned-reclaim-inline", ReclaimInline, FUSE),
    unpinned!("unpinned-reclaim-worker", ReclaimWorker, FUSE),
    Scenario {
        name: "unpinned-munmap",
        finding: |_| None,
        about: "without a pin, a control: the only mapping is dropped, and the file is truncated",
        source: "nothing refers to the pages",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(munmap),
    },
    Scenario {
        name: "unpinned-eviction",
        finding: |_| None,
        about: "without a pin, a control: mapping and files are closed, and drop_caches evicts the \
                inode",
        source: "nothing refers to the pages",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(evict),
    },
];

/// Whether the removal drops a page that was loaded while it is mapped, and the kernel warns of it.
fn drops_loaded(kernel: KernelKind, removal: RemovalKind) -> bool {
    kernel == KernelKind::Newer && removal == RemovalKind::CopyOver
}

/// The pages: one has been stored to, and its neighbour has been loaded.
async fn set_up(
    rig: &mut Rig,
    fs: FileSystem,
    kind: RemovalKind,
    seen: &mut Observation,
) -> Result<Fixture> {
    let mut fixture = Fixture::set_up_without_filler(rig, fs, kind).await?;
    seen.stands(&fixture);
    let load = Touch {
        map: fixture.page.map.clone(),
        at: fixture.page.at + PAGE as usize,
        len: fixture.page.len,
        store: false,
    };
    fixture.pinner.ask(load).await?;
    seen.step("the page has been stored to, and the next one has been loaded");
    Ok(fixture)
}

async fn unpinned(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    kind: RemovalKind,
) -> Result<()> {
    let mut fixture = set_up(rig, fs, kind, seen).await?;
    fixture.fill_window(rig).await?;
    let removal = fixture.removal();
    fixture.remover.ask(removal).await.context("the removal")?;
    seen.step("it has returned");
    seen.harm = fixture.wrong_bytes(rig, true, false).await?;
    race::close(rig, fixture, seen).await
}

async fn munmap(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = set_up(rig, fs, RemovalKind::Truncate, seen).await?;
    let name = fixture.page.map.clone();
    fixture.pinner.ask(Close { name }).await?;
    let removal = fixture.removal();
    fixture.remover.ask(removal).await.context("the removal")?;
    seen.harm = fixture.wrong_bytes(rig, true, false).await?;
    race::close(rig, fixture, seen).await
}

async fn evict(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = set_up(rig, fs, RemovalKind::DropCaches, seen).await?;
    for name in [fixture.page.map.clone(), "file".to_owned()] {
        fixture.pinner.ask(Close { name }).await?;
    }
    let name = fixture.files.file.clone();
    fixture.remover.ask(Close { name }).await?;
    let removal = fixture.removal();
    fixture.remover.ask(removal).await.context("the eviction")?;
    seen.harm = fixture.wrong_bytes(rig, false, false).await?;
    race::close(rig, fixture, seen).await
}
