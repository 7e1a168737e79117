// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! System calls that once failed by themselves, without a pin and without a race.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Close, Compare, Create, Load, Map, Open, ReadAt, Touch, WriteMapped};
use guest_agent::removals::Removal;
use guest_agent::worker::Request;

use super::props::{PAGE, map, mapping, open, storing};
use super::race::Runner;
use super::{Scenario, race, run};
use crate::cases::files::RANGE;
use crate::cases::fixture::Fixture;
use crate::cases::wait::does_not_return;
use crate::cases::{KernelKind, Observation, RemovalKind, Signs};
use crate::host::{BREAK_LAYOUTS, FileSystem, Rig, Who};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "private-copy-survives",
        finding: |_| Some("7"),
        about: "a private mapping's page is stored to, which makes a copy of it, and a hole is \
                punched into the file: the copy stays",
        source: "mm/truncate.c: truncate_pagecache_range() unmaps without even_cows",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(private_copy_survives),
    },
    Scenario {
        name: "zero-length-read",
        finding: |_| Some("8"),
        about: "pread(2) of no bytes at the beginning, in the middle, at the end of a file and \
                beyond it returns at once",
        source: "mm/filemap.c and fs/dax.c: a read of no bytes is over before it begins",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(zero_length_read),
    },
    Scenario {
        name: "extending-write-from-itself",
        finding: |_| Some("22"),
        about: "write(2) beyond the end of a file, from a mapping of the same file whose page is \
                not in the page tables: the fault comes while the write holds the inode's lock",
        source: "fs/fuse/dax.c: fuse_dax_write_iter() holds the inode's lock over \
                 fuse_direct_io(), whose buffer faults under invalidate_lock only",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(extending_write),
    },
    Scenario {
        name: "close-after-unlink",
        finding: |_| Some("F"),
        about: "a file is made, mapped and stored to, loses its name, and is closed, again and again",
        source: "fs/fuse/file.c: fuse_release_end() drops the inode where replies are handled; to \
                 evict it takes a FUSE_REMOVEMAPPING, whose reply nobody handles then",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, _| match kernel {
            KernelKind::NoBioWake => vec![Outcome::Hung],
            _ => vec![Outcome::Finished],
        },
        run: run!(close_after_unlink),
    },
];

/// Often enough that one of the replies comes after the process has dropped the inode.
const CLOSES: u32 = 100;
/// How long a system call may take that has nothing to wait for.
const CALL_DEADLINE: Duration = Duration::from_secs(60);

async fn private_copy_survives(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
) -> Result<()> {
    let kind = RemovalKind::Punch;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let map = Map {
        name: "private".to_owned(),
        file: "file".to_owned(),
        offset: fixture.page.offset,
        len: PAGE,
        private: true,
    };
    let touch = |store| Touch {
        map: "private".to_owned(),
        at: 0,
        len: PAGE,
        store,
    };
    fixture.pinner.ask(map).await?;
    fixture.pinner.ask(touch(false)).await?;
    fixture.pinner.ask(touch(true)).await?;
    seen.step("the private page is a copy");
    let punch = fixture.removal();
    fixture.remover.ask(punch).await?;
    seen.step("the file has a hole there");
    let load = Load {
        map: "private".to_owned(),
        at: 0,
        len: PAGE,
        pattern: Some((fixture.page.seed, fixture.page.offset)),
    };
    let lost = fixture.pinner.ask(load).await?;
    seen.harm = match lost {
        Some(lost) => Some(format!("the private copy is gone: {lost}")),
        None => fixture.wrong_bytes(rig, true, false).await?,
    };
    race::close(rig, fixture, seen).await
}

async fn zero_length_read(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let len = fixture.files.len;
    for offset in [0, 1, fixture.page.offset, len - 1, len, len + 1, 8 * len] {
        let read = ReadAt {
            path: fixture.files.file.clone(),
            offset,
            len: 0,
        };
        let pending = fixture.remover.begin(read).await?;
        let done = fixture.remover.done_within(&pending, CALL_DEADLINE).await?;
        let Some(done) = done else {
            seen.step(format_args!("the read at {offset:#x} hangs"));
            let reader = Who::Process(fixture.remover.pid());
            does_not_return(rig.watcher(), reader, &BREAK_LAYOUTS, seen).await?;
            break;
        };
        let count = done.outcome?;
        ensure!(count == 0, "a read of no bytes gave {count}");
        seen.step(format_args!("the read at {offset:#x} has returned"));
    }
    race::close(rig, fixture, seen).await
}

async fn extending_write(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let mut writer = rig.actor("writer").await?;
    let path = fixture.files.file.clone();
    open(&mut writer, &path, &path).await?;
    // No process has mapped this range, so the fault needs a range of the window.
    map(&mut writer, "map", &path, 0).await?;
    let len = fixture.files.len;
    let write = WriteMapped {
        map: "map".to_owned(),
        at: 0,
        len: PAGE,
        path: path.clone(),
        offset: len,
    };
    let pending = writer.begin(write).await?;
    let Some(done) = writer.done_within(&pending, CALL_DEADLINE).await? else {
        seen.step("the write hangs");
        let waiter = Who::Process(writer.pid());
        does_not_return(rig.watcher(), waiter, &BREAK_LAYOUTS, seen).await?;
        return race::close(rig, fixture, seen).await;
    };
    let count = done.outcome.context("writing from a mapping of the file")?;
    seen.step(format_args!("{count} bytes are written behind the end"));
    ensure!(count == PAGE, "{count} of {PAGE} bytes were written");
    // A second open of the file while a page is mapped is another scenario.
    writer.end().await?;
    let compare = |offset, len, pattern_at| Compare {
        path: path.clone(),
        offset,
        len,
        seed: Some(fixture.page.seed),
        pattern_at,
    };
    for whole in [compare(0, len, 0), compare(len, PAGE as u64, 0)] {
        let wrong = fixture.remover.ask(whole).await?;
        seen.harm = seen.harm.take().or(wrong);
    }
    debug_assert!(len % RANGE == 0, "the file ends with a range");
    race::close(rig, fixture, seen).await
}

async fn close_after_unlink(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let path = format!("{}-nameless", fixture.files.file);
    let (file, map) = ("file".to_owned(), "map".to_owned());
    let create = Create {
        path: path.clone(),
        len: RANGE,
        seed: fixture.page.seed,
    };
    let open = Open {
        name: file.clone(),
        path: path.clone(),
        direct: false,
    };
    let requests = vec![
        Request::of(&create),
        Request::of(&open),
        Request::of(&mapping(&map, &file, 0)),
        Request::of(&storing(&map)),
        Request::of(&Removal::Unlink { path }),
        Request::of(&Close { name: map }),
        Request::of(&Close { name: file }),
    ];
    let closer = rig.actor("closer").await?;
    let closer = Runner::start(closer, "the closer", CLOSES, requests).await?;
    if let Some(closed) = closer.end(rig, seen).await? {
        let failed = closed
            .answers
            .keys()
            .find(|said| said.contains(" failed: "));
        ensure!(failed.is_none(), "{failed:?}");
    }
    race::close(rig, fixture, seen).await
}
