// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What guest and host tell each other of a file: its size and its times. No pin, and no race.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Close, Modified, ReadKept, WriteMapped};
use tokio::time::{Instant, sleep};

use super::props::{PAGE, open};
use super::{Scenario, race, run};
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, RemovalKind, Signs};
use crate::host::{FileSystem, Rig};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "appended-is-read",
        finding: |_| Some("J"),
        about: "a process keeps a file open and reads at its end again and again; the host appends \
                to the file",
        source: "fs/fuse/dax.c: fuse_dax_read_iter() never asks for the size, other than \
                 fuse_cache_read_iter()",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: harmed_unless_fixed,
        run: run!(appended_is_read),
    },
    Scenario {
        name: "write-moves-mtime",
        finding: |_| Some("K"),
        about: "write(2) in place, through DAX, and fstat(2), again and again; then close(2)",
        source: "fs/fuse/dax.c: a TODO of fuse_dax_write_iter() and of faults",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: harmed_unless_fixed,
        run: run!(write_moves_mtime),
    },
];

fn harmed_unless_fixed(_: KernelKind, _: FileSystem) -> Vec<Outcome> {
    vec![Outcome::Harmed]
}

/// How long the guest may take to see what was appended: attributes are valid for a second.
const SEEN_DEADLINE: Duration = Duration::from_secs(10);
/// How many writes have to move mtime. The host moves it itself where it has just written the page
/// back, so a single one could move by chance.
const WRITES: u32 = 5;
/// Times are compared in seconds.
const NEXT_SECOND: Duration = Duration::from_millis(1100);
/// Between two looks. No event says that a file has changed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

async fn appended_is_read(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let mut reader = rig.actor("reader").await?;
    let path = fixture.files.file.clone();
    open(&mut reader, "kept", &path).await?;
    let read = ReadKept {
        file: "kept".to_owned(),
        offset: fixture.files.len,
        len: PAGE,
    };
    let before = reader.ask(read.clone()).await?;
    seen.step(format_args!("a read at the end gives {before} bytes"));
    let mut file = File::options()
        .append(true)
        .open(fixture.on_host(rig)?)
        .context("opening the file on the host")?;
    file.write_all(&[1; PAGE]).context("appending a page")?;
    seen.step("the host has appended a page");
    let deadline = Instant::now() + SEEN_DEADLINE;
    let mut count = 0;
    while count == 0 && Instant::now() < deadline {
        sleep(LOOK_AGAIN).await;
        count = reader.ask(read.clone()).await?;
    }
    if count != PAGE {
        seen.harm = Some(format!(
            "{SEEN_DEADLINE:?} later a read at the former end gives {count} of {PAGE} bytes"
        ));
    }
    reader.end().await?;
    race::close(rig, fixture, seen).await
}

async fn write_moves_mtime(rig: &mut Rig, on: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, on, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    // The page is written to itself, by the descriptor that is open: to open the file again is
    // another scenario.
    let write = WriteMapped {
        map: fixture.page.map.clone(),
        at: fixture.page.at,
        len: fixture.page.len,
        path: "file".to_owned(),
        offset: fixture.page.offset,
    };
    let look = Modified {
        file: "file".to_owned(),
    };
    fixture.pinner.ask(write.clone()).await?;
    let mut before = 0;
    for round in 1..=WRITES {
        before = fixture.pinner.ask(look.clone()).await?;
        sleep(NEXT_SECOND).await;
        fixture.pinner.ask(write.clone()).await?;
        if fixture.pinner.ask(look.clone()).await? <= before {
            seen.harm = Some(format!(
                "after write {round} fstat(2) gives the mtime from before it"
            ));
            break;
        }
    }
    let name = "file".to_owned();
    fixture.pinner.ask(Close { name }).await?;
    let is = fs::metadata(fixture.on_host(rig)?).context("looking at the file on the host")?;
    if is.mtime().cast_unsigned() <= before {
        seen.harm =
            Some("after the close the host has the mtime from before the writes".to_owned());
    }
    race::close(rig, fixture, seen).await
}
