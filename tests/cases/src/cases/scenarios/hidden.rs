// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Pins that the kernel no longer sees. The kernel looks for busy pages only in the page tables and
//! in the page cache, so an operation that takes the page out of these hides its pin.

use std::fs::File;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Close, FrameOf, Load, ReadAt};
use guest_agent::removals::Removal;

use super::props::{PAGE, map, open};
use super::{Scenario, race, run};
use crate::cases::files::Page;
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, matrix};
use crate::host::{FileSystem, Rig};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "munmap-hides-pin",
        finding: |_| Some("2"),
        about: "asynchronous O_DIRECT read into a page, the only mapping is dropped, then the file \
                is truncated: nothing is mapped, so nothing is looked for",
        source: "fs/dax.c: dax_layout_busy_page_range() returns early without mapping_mapped()",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: slips,
        run: run!(munmap_hides_pin),
    },
    Scenario {
        name: "reopen-hides-pin",
        finding: |_| Some("14"),
        about: "a page is pinned and written back; the file is opened again, which throws clean \
                pages out of the cache; then its range of the window is reclaimed",
        source: "fs/fuse/file.c: an open without FOPEN_KEEP_CACHE calls invalidate_inode_pages2()",
        fs: &[FileSystem::Fuse],
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: slips,
        run: run!(reopen_hides_pin),
    },
    Scenario {
        name: "reopen-hides-loaded-page",
        finding: |_| Some("14"),
        about: "a page that was only loaded is in a pipe; the file is opened again, which throws \
                clean pages out of the cache; then it is truncated",
        source: "fs/fuse/file.c: an open without FOPEN_KEEP_CACHE calls invalidate_inode_pages2()",
        fs: &[FileSystem::Fuse],
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        // The host's file ends before the page.
        expected: |_, _| vec![Outcome::VmDied],
        run: |rig, fs, seen| Box::pin(loaded_page(rig, fs, seen, Between::Reopen)),
    },
    Scenario {
        name: "change-hides-loaded-page",
        finding: |_| Some("14a"),
        about: "a page that was only loaded is in a pipe; the server's mtime moves, and the guest asks for \
                it, which throws clean pages out of the cache; then the file is truncated",
        source: "fs/fuse/inode.c: fuse_change_attributes() calls invalidate_inode_pages2()",
        fs: &[FileSystem::Fuse],
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        // The host's file ends before the page.
        expected: |_, _| vec![Outcome::VmDied],
        run: |rig, fs, seen| Box::pin(loaded_page(rig, fs, seen, Between::Change)),
    },
    Scenario {
        name: "loaded-page-in-pipe",
        finding: |_| None,
        about: "a page that was only loaded is in a pipe, and the file is truncated",
        source: "fs/dax.c: dax_layout_busy_page_range() looks at clean entries, too",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| {
            super::super::expected(kernel, fs, Pin::Vmsplice, RemovalKind::Truncate)
        },
        run: |rig, fs, seen| Box::pin(loaded_page(rig, fs, seen, Between::Nothing)),
    },
    Scenario {
        name: "reopen-while-mapped",
        finding: |kernel| match kernel {
            KernelKind::Newer => Some("C"),
            _ => Some("14"),
        },
        about: "a page is mapped and clean, and nobody pins it; the file is opened again, and the \
                page is loaded again",
        source: "mm/truncate.c: invalidate_inode_pages2_range() drops a DAX entry without unmapping \
                 it",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, _| match kernel {
            KernelKind::Newer => vec![Outcome::Complained],
            _ => vec![Outcome::Finished],
        },
        run: run!(reopen_while_mapped),
    },
    Scenario {
        name: "copy-over-hides-pin",
        finding: |_| Some("17"),
        about: "copy_file_range(2) onto a pinned page throws it out of the cache; then the file is \
                truncated",
        source: "fs/fuse/file.c: __fuse_copy_file_range() calls truncate_inode_pages_range()",
        fs: &[FileSystem::Fuse],
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: slips_everywhere,
        run: run!(copy_over_hides_pin),
    },
    Scenario {
        name: "create-trunc-under-pin",
        finding: |_| Some("16"),
        about: "open(2) with O_CREAT and O_TRUNC of a file that is there and has a pinned page",
        source: "fs/fuse/dir.c: fuse_create_open() breaks no layout, other than fuse_open()",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| {
            super::super::expected(kernel, fs, Pin::Vmsplice, RemovalKind::OpenTruncate)
        },
        run: run!(create_trunc),
    },
];

/// The removal does not wait. The new owner of the page's memory is harmed by the pin, or the owner
/// of the pin by the new owner. From 6.15 on, removals also wait for pages that no process has
/// mapped.
fn slips(kernel: KernelKind, fs: FileSystem) -> Vec<Outcome> {
    match kernel {
        KernelKind::Newer => vec![Outcome::Waited],
        _ => slips_everywhere(kernel, fs),
    }
}

/// The same outcomes, on kernels of 6.15 and later too.
fn slips_everywhere(_: KernelKind, _: FileSystem) -> Vec<Outcome> {
    vec![Outcome::Harmed]
}

async fn munmap_hides_pin(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let pin = Pin::AioRead;
    let held = matrix::take(rig, &mut fixture, pin, seen).await?;
    let name = fixture.page.map.clone();
    fixture.pinner.ask(Close { name }).await?;
    seen.step("the mapping is gone, and the page is still pinned");
    matrix::remove_and_verify(rig, fixture, held, RemovalKind::Truncate, seen).await
}

/// The op that opens the file, reads a byte, and closes it.
fn opening(fixture: &Fixture) -> ReadAt {
    ReadAt {
        path: fixture.files.file.clone(),
        offset: 0,
        len: 1,
    }
}

async fn reopen_hides_pin(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::ReclaimInline;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::Vmsplice, seen).await?;
    for _ in 0..2 {
        // The first close writes the page back. The second open finds the page clean.
        fixture.remover.ask(opening(&fixture)).await?;
    }
    seen.step("the file has been opened, closed and opened again");
    matrix::remove_and_verify(rig, fixture, held, kind, seen).await
}

/// What happens between the pin and the removal.
#[derive(Clone, Copy)]
enum Between {
    Nothing,
    /// The file is opened again.
    Reopen,
    /// The server's time of change moves, and the guest asks for it.
    Change,
}

/// The pinned page is the first one of the file. It has been loaded, and never been stored to.
async fn loaded_page(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    between: Between,
) -> Result<()> {
    let kind = RemovalKind::Truncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let name = "loaded".to_owned();
    map(&mut fixture.pinner, &name, "file", 0).await?;
    let load = Load {
        map: name.clone(),
        at: 0,
        len: PAGE,
        pattern: Some((fixture.page.seed, 0)),
    };
    seen.harm = fixture.pinner.ask(load).await?;
    let frame = FrameOf {
        map: name.clone(),
        at: 0,
    };
    fixture.frame = fixture.pinner.ask(frame).await?;
    fixture.page = Page {
        map: name,
        at: 0,
        offset: 0,
        ..fixture.page
    };
    let held = matrix::take(rig, &mut fixture, Pin::Vmsplice, seen).await?;
    match between {
        Between::Nothing => {}
        Between::Reopen => {
            fixture.remover.ask(opening(&fixture)).await?;
            seen.step("the file has been opened again");
        }
        Between::Change => {
            let file = File::options().write(true).open(fixture.on_host(rig)?);
            let moved = file.and_then(|file| file.set_modified(SystemTime::UNIX_EPOCH));
            moved.context("moving the file's mtime on the host")?;
            let path = fixture.files.file.clone();
            fixture.remover.ask(Removal::Stat { path }).await?;
            seen.step("the host has moved mtime, and the guest has asked for it");
        }
    }
    matrix::remove_and_verify(rig, fixture, held, kind, seen).await
}

async fn reopen_while_mapped(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let mut loader = rig.actor("loader").await?;
    open(&mut loader, "file", &fixture.files.file).await?;
    map(&mut loader, "map", "file", 0).await?;
    let load = Load {
        map: "map".to_owned(),
        at: 0,
        len: PAGE,
        pattern: Some((fixture.page.seed, 0)),
    };
    seen.harm = loader.ask(load.clone()).await?;
    fixture.remover.ask(opening(&fixture)).await?;
    seen.step("a page was loaded, and the file has been opened by another process");
    let again = loader.ask(load).await?;
    seen.harm = seen.harm.take().or(again);
    loader.end().await?;
    race::close(rig, fixture, seen).await
}

async fn copy_over_hides_pin(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::CopyOver).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    let copy = fixture.removal();
    fixture
        .remover
        .ask(copy)
        .await
        .context("copying over the page")?;
    seen.step("another file has been copied over the page");
    fixture.turn_to(RemovalKind::Truncate);
    matrix::remove_and_verify(rig, fixture, held, RemovalKind::Truncate, seen).await
}

async fn create_trunc(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::OpenTruncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::Vmsplice, seen).await?;
    let removal = Removal::OpenTruncate {
        path: fixture.files.file.clone(),
        create: true,
    };
    matrix::remove_by_and_verify(rig, fixture, held, kind, removal, seen).await
}
