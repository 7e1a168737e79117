// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The server's block size is not the guest's page size.

use anyhow::{Context as _, Result, ensure};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Create, Sync, Where};
use guest_agent::removals::Removal;

use super::props::{map, open, storing};
use super::{Scenario, race, run};
use crate::cases::files::RANGE;
use crate::cases::fixture::Fixture;
use crate::cases::{Allowed, KernelKind, Observation, RemovalKind, Signs};
use crate::host::{BIG_BLOCKS, FileSystem, Rig};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "big-blocks-writeback",
    finding: |_| Some("11"),
    about: "a page of a file whose server says 2 MiB in st_blksize is stored to, and the file is \
            synced",
    source: "fs/dax.c: dax_writeback_mapping_range() warns and gives EIO if i_blkbits is not \
             PAGE_SHIFT; fs/fuse/inode.c sets i_blkbits from the server's blksize",
    fs: &[FileSystem::Fuse],
    contract: Contract::MayProceed,
    signs: Signs {
        complaints: &[Allowed::warning("dax_writeback_mapping_range")],
        errors: &[],
    },
    expected: |kernel, _| match kernel {
        KernelKind::Newer => vec![Outcome::Proceeded],
        _ => vec![Outcome::Complained],
    },
    run: run!(big_blocks_writeback),
}];

const SEED: u64 = 0xb10c;

async fn big_blocks_writeback(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    rig.needs_big_blocks()?;
    let fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let path = format!("{}/{BIG_BLOCKS}/file", fs.mount_point());
    let mut storer = rig.actor("storer").await?;
    let (len, seed) = (RANGE, SEED);
    let create = Create {
        path: path.clone(),
        len,
        seed,
    };
    storer.ask(create).await.context("making the file")?;
    let standing = storer.ask(Where { path: path.clone() }).await?;
    ensure!(standing.dax, "{path} is no DAX file: {standing:?}");
    seen.step("a file of big blocks is accessed by DAX");
    open(&mut storer, "file", &path).await?;
    map(&mut storer, "map", "file", 0).await?;
    storer.ask(storing("map")).await?;
    let file = "file".to_owned();
    let pending = storer.begin(Sync { file }).await?;
    let done = storer.done(&pending).await?;
    match &done.outcome {
        Ok(()) => seen.step("it has been synced"),
        Err(fault) => seen.step(format_args!("it can't be synced: {fault}")),
    }
    seen.returned = Some(done.outcome);
    // Umount would find the files busy as long as the actor has them open.
    storer.end().await?;
    rig.watcher().ask(Removal::Unlink { path }).await?;
    // The guest has mounted the folder by itself. The umount of another case would find it.
    let target = format!("{}/{BIG_BLOCKS}", fs.mount_point());
    rig.watcher().ask(Removal::Umount { target }).await?;
    race::close(rig, fixture, seen).await
}
