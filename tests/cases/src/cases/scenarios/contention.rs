// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Faults, writeback, copies and removals of one file at once.

use anyhow::{Result, ensure};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{MapMany, Peek, Sync};
use guest_agent::pins::CopyFromProcess;
use guest_agent::removals::Removal;
use guest_agent::worker::Request;

use super::props::{PAGE, map, open, resizing, storing};
use super::race::{Counts, Runner, close};
use super::{Scenario, run};
use crate::cases::files::RANGE;
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{Counter, FileSystem, Rig};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fault-storm",
        finding: |kernel| match kernel {
            KernelKind::NoBioWake => Some("A"),
            _ => Some("3"),
        },
        about: "a page of the same file is stored to and written back again and again, which locks \
                its entry, while the file is truncated under a pin",
        source: "fs/dax.c: dax_layout_busy_page_range() waits for a locked entry and goes on",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| expected(kernel, fs, Pin::AioRead, RemovalKind::TruncateMiddle),
        run: run!(fault_storm),
    },
    Scenario {
        name: "writeback-storm",
        finding: |kernel| match kernel {
            KernelKind::NoBioWake => Some("A"),
            KernelKind::Newer => Some("B"),
            _ => Some("3"),
        },
        about: "the pinned page itself, which 20,000 mappings share, is stored to and written back \
                again and again, which locks its entry, while the file is truncated",
        source: "fs/dax.c: up to 6.14 the scan for busy pages passes over an entry that writeback \
                 has locked (upstream 6be3e21d25ca)",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| match kernel {
            // The scan comes upon the locked entry, or does not.
            KernelKind::Stock => vec![Outcome::Harmed, Outcome::Waited],
            // As in refault-during-wait: the storm maps the page again.
            KernelKind::Newer => vec![Outcome::Stuck, Outcome::Waited],
            kernel => expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        },
        run: run!(writeback_storm),
    },
    Scenario {
        name: "process-copy-race",
        finding: |kernel| (kernel == KernelKind::Newer).then_some("B"),
        about: "process_vm_readv(2) of a page again and again (FOLL_PIN for the time of a copy), \
                while the file is cut to nothing, made long again and stored to",
        source: "every break of layouts waits for the copy's pin",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| match kernel {
            // A copy holds its page when the host's file ends before it: the page is lost.
            KernelKind::NoWait if fs == FileSystem::Fuse => vec![Outcome::VmDied],
            KernelKind::NoWait => vec![Outcome::Complained],
            KernelKind::NoWake => vec![Outcome::Stuck],
            // As in refault-during-wait, if a copy faults the page in again before the removal is
            // woken.
            KernelKind::Newer => vec![Outcome::Stuck, Outcome::Finished],
            _ => vec![Outcome::Finished],
        },
        run: run!(process_copy_race),
    },
    Scenario {
        name: "fault-beyond-end",
        finding: |_| Some("23"),
        about: "loads of a page beyond the end that a truncate makes: what was there, then SIGBUS, \
                and zeros when the file is long again; never the old bytes",
        source: "fs/dax.c: faults look at i_size under invalidate_lock, which truncate holds",
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(fault_beyond_end),
    },
    Scenario {
        name: "o-trunc-race",
        finding: |_| Some("10"),
        about: "open(2) with O_TRUNC, faults of the same file and reads that need the whole window, \
                all at once: nobody hangs",
        source: "fs/fuse/file.c: fuse_open() holds inode lock and invalidate_lock over FUSE_OPEN",
        fs: &[FileSystem::Fuse],
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: |_, _| vec![Outcome::Finished],
        run: run!(o_trunc_race),
    },
];

/// Enough rounds that all actors overlap most of the time.
const ROUNDS: u32 = 1000;

async fn fault_storm(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::TruncateMiddle;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    let mut storm = rig.actor("storm").await?;
    open(&mut storm, "file", &fixture.files.file).await?;
    // This page stays in the file. A store behind the file's end would raise SIGBUS.
    map(&mut storm, "map", "file", RANGE).await?;
    let file = "file".to_owned();
    let requests = vec![Request::of(&storing("map")), Request::of(&Sync { file })];
    // The storm runs until the case ends it.
    let storm = Runner::start(storm, "the storm", u32::MAX, requests).await?;
    let ran = matrix::remove_and_verify(rig, fixture, held, kind, seen).await;
    storm.stop().await?;
    ran
}

/// How many mappings writeback has to look at while it holds the page's entry locked. Linux permits
/// 65,530 to a process.
const MAPPINGS: u32 = 20_000;

async fn writeback_storm(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::Truncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let mut storm = rig.actor("storm").await?;
    open(&mut storm, "file", &fixture.files.file).await?;
    map(&mut storm, "map", "file", fixture.page.offset).await?;
    let many = MapMany {
        name: "many".to_owned(),
        file: "file".to_owned(),
        offset: fixture.page.offset,
        len: PAGE,
        times: MAPPINGS,
    };
    storm.ask(many).await?;
    seen.step(format_args!("the page has {MAPPINGS} mappings"));
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    let file = "file".to_owned();
    // A store behind the file's end would raise SIGBUS, and end the storm.
    let requests = vec![Request::of(&storing("map")), Request::of(&Sync { file })];
    let storm = Runner::start(storm, "the storm", u32::MAX, requests).await?;
    let ran = matrix::remove_and_verify(rig, fixture, held, kind, seen).await;
    storm.stop().await?;
    ran
}

async fn process_copy_race(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let copier = rig.actor("copier").await?;
    let mut owner = rig.actor("owner").await?;
    open(&mut owner, "file", &fixture.files.file).await?;
    let address = map(&mut owner, "map", "file", fixture.page.offset).await?;
    let copy = CopyFromProcess {
        pid: owner.pid(),
        address,
        len: PAGE,
        times: 200,
    };
    let requests = vec![
        Request::of(&resizing(&fixture.files.file, 0)),
        Request::of(&resizing(&fixture.files.file, fixture.files.len)),
        Request::of(&storing("map")),
        Request::of(&peeking(&fixture)),
    ];
    let copier = Runner::start(copier, "the copier", ROUNDS, vec![Request::of(&copy)]).await?;
    let owner = Runner::start(owner, "the owner", ROUNDS, requests).await?;
    // The process that is copied from has to live longer than the copier.
    copier.end(rig, seen).await?;
    if let Some(owned) = owner.end(rig, seen).await? {
        only(seen, &owned.answers, &["peek: \"zeros\""])?;
    }
    close(rig, fixture, seen).await
}

async fn fault_beyond_end(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let (mut looker, mut remover) = (rig.actor("looker").await?, rig.actor("cutter").await?);
    for actor in [&mut looker, &mut remover] {
        open(actor, "file", &fixture.files.file).await?;
        map(actor, "map", "file", fixture.page.offset).await?;
    }
    let looks = vec![Request::of(&peeking(&fixture))];
    let cuts = vec![
        Request::of(&resizing(&fixture.files.file, 0)),
        Request::of(&peeking(&fixture)),
        Request::of(&resizing(&fixture.files.file, fixture.files.len)),
        Request::of(&peeking(&fixture)),
    ];
    let looker = Runner::start(looker, "the looker", 10 * ROUNDS, looks).await?;
    let remover = Runner::start(remover, "the cutter", ROUNDS, cuts).await?;
    let (looked, cut) = (looker.end(rig, seen).await?, remover.end(rig, seen).await?);
    if let (Some(looked), Some(cut)) = (looked, cut) {
        let before = ["peek: \"pattern\"", "peek: \"gone\"", "peek: \"zeros\""];
        only(seen, &looked.answers, &before)?;
        only(seen, &cut.answers, &before[1..])?;
        let count = |answer: &str| cut.answers.get(answer).copied();
        // The actor's own accesses run in turn, without a race: one of each in a round.
        if (count(before[1]), count(before[2])) != (Some(ROUNDS), Some(ROUNDS)) {
            seen.harm = Some(format!("after each truncate: {:?}", cut.answers));
        }
    }
    close(rig, fixture, seen).await
}

async fn o_trunc_race(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    // This file, with the one that is cut, needs more ranges than there are.
    let fixture = Fixture::set_up(rig, fs, RemovalKind::ReclaimWorker).await?;
    seen.stands(&fixture);
    let (mut looker, mut reader) = (rig.actor("looker").await?, rig.actor("reader").await?);
    let cutter = rig.actor("cutter").await?;
    open(&mut looker, "file", &fixture.files.file).await?;
    map(&mut looker, "map", "file", fixture.page.offset).await?;
    open(&mut reader, &fixture.files.other, &fixture.files.other).await?;
    let reads = (0..fixture.files.other_len / RANGE)
        .map(|index| Request::of(&super::props::reading(&fixture.files.other, index * RANGE)));
    let cut = Removal::OpenTruncate {
        path: fixture.files.file.clone(),
        create: false,
    };
    let cuts = vec![
        Request::of(&cut),
        Request::of(&resizing(&fixture.files.file, fixture.files.len)),
    ];
    let looks = vec![Request::of(&peeking(&fixture))];
    let counts = Counts::begin(rig, &[Counter::Unmaps])?;
    let runners = [
        Runner::start(reader, "the reader", ROUNDS / 2, reads.collect()).await?,
        Runner::start(looker, "the looker", 10 * ROUNDS, looks).await?,
        Runner::start(cutter, "the cutter", ROUNDS, cuts).await?,
    ];
    for runner in runners {
        if let Some(repeated) = runner.end(rig, seen).await? {
            let fine = ["peek: \"pattern\"", "peek: \"gone\"", "peek: \"zeros\""];
            only(seen, &repeated.answers, &fine)?;
        }
    }
    if !seen.hangs() {
        counts.end(rig, seen)?;
    }
    close(rig, fixture, seen).await
}

/// The op to look at the pinned page's place, through the mapping of that page alone.
fn peeking(fixture: &Fixture) -> Peek {
    Peek {
        map: "map".to_owned(),
        at: 0,
        len: PAGE,
        seed: fixture.page.seed,
    }
}

/// No op may fail, and no look may see a value other than `fine`.
fn only(
    seen: &mut Observation,
    answers: &std::collections::BTreeMap<String, u32>,
    fine: &[&str],
) -> Result<()> {
    for answer in answers.keys() {
        ensure!(!answer.contains(" failed: "), "{answer}");
        if answer.starts_with("peek: ") && !fine.contains(&answer.as_str()) {
            seen.harm = Some(format!("a look at the page saw {answer}"));
        }
    }
    Ok(())
}
