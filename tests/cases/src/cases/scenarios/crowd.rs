// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Files that need more ranges than the window has, all at once.

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Compare, Create};
use guest_agent::removals::Removal;
use guest_agent::worker::Request;

use super::props::{loading, mapping, open, reading, storing};
use super::race::{Counts, Runner, close};
use super::{Scenario, run};
use crate::cases::files::RANGE;
use crate::cases::fixture::Fixture;
use crate::cases::{Observation, RemovalKind, Signs};
use crate::host::{Counter, FileSystem, Rig};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "parallel-reclaim",
        finding: |_| Some("6"),
        about: "three actors read and three load from three files that need half as much again as \
                the window has: all are served",
        source: "fs/fuse/dax.c: wait_event_killable_exclusive() on range_waitq by who has no range \
                 of its own, wake_up() for each range that becomes free",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(parallel_reclaim),
    },
    Scenario {
        name: "upgrade-race",
        finding: |_| Some("21"),
        about: "ranges that were mapped for reading are stored to while others reclaim them",
        source: "fs/fuse/dax.c: fuse_upgrade_dax_mapping() relies on its reference to the range",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(upgrade_race),
    },
];

/// The window has eight ranges, and each of the three files needs four.
const FILES: usize = 3;
const FILE_RANGES: u64 = 4;
const SEED: u64 = 0xc0de;
/// Enough rounds that all actors overlap most of the time.
const ROUNDS: u32 = 1500;

async fn parallel_reclaim(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    crowd(rig, fs, seen, &[Counter::Unmaps], |path| {
        let reads = offsets().map(|offset| Request::of(&reading(path, offset)));
        let loads = offsets().map(|offset| Request::of(&loading(path, offset)));
        vec![("a reader", reads.collect()), ("a loader", loads.collect())]
    })
    .await
}

async fn upgrade_race(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    crowd(
        rig,
        fs,
        seen,
        &[Counter::Unmaps, Counter::Upgrades],
        |path| {
            let upgrade = |offset| {
                let map = mapping("map", path, offset);
                let read = reading(path, offset);
                [
                    Request::of(&read),
                    Request::of(&map),
                    Request::of(&storing("map")),
                ]
            };
            let reads = offsets().map(|offset| Request::of(&reading(path, offset)));
            vec![
                ("a storer", offsets().flat_map(upgrade).collect()),
                ("a reader", reads.collect()),
            ]
        },
    )
    .await
}

fn offsets() -> impl Iterator<Item = u64> {
    (0..FILE_RANGES).map(|index| index * RANGE)
}

/// Actors for each of the files, each with a name and requests. The race has to make the counters
/// go up.
async fn crowd(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    counters: &[Counter],
    requests: impl Fn(&str) -> Vec<(&'static str, Vec<Request>)>,
) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let paths: Vec<_> = (0..FILES)
        .map(|index| format!("{}-crowd-{index}", fixture.files.file))
        .collect();
    let mut runners = Vec::new();
    for path in &paths {
        let (path, len, seed) = (path.clone(), FILE_RANGES * RANGE, SEED);
        fixture.remover.ask(Create { path, len, seed }).await?;
    }
    let counts = Counts::begin(rig, counters)?;
    for path in &paths {
        for (name, requests) in requests(path) {
            let mut actor = rig.actor("runner").await?;
            open(&mut actor, path, path).await?;
            runners.push(Runner::start(actor, name, ROUNDS, requests).await?);
        }
    }
    for runner in runners {
        if let Some(repeated) = runner.end(rig, seen).await? {
            let failed = repeated
                .answers
                .keys()
                .find(|said| said.contains(" failed: "));
            seen.harm = seen.harm.take().or(failed.cloned());
        }
    }
    if !seen.hangs() {
        counts.end(rig, seen)?;
        for path in paths {
            let whole = Compare {
                path: path.clone(),
                offset: 0,
                len: FILE_RANGES * RANGE,
                seed: Some(SEED),
                pattern_at: 0,
            };
            let wrong = fixture.remover.ask(whole).await?;
            let wrong = wrong.map(|wrong| format!("{path}: {wrong}"));
            seen.harm = seen.harm.take().or(wrong);
            fixture.remover.ask(Removal::Unlink { path }).await?;
        }
    }
    close(rig, fixture, seen).await
}
