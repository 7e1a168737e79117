// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How often a removal that waits is woken: what `vain_wakeups` counts, none and some.

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::Touch;
use guest_agent::pins::{AioReap, AioSubmit, SpliceAgain, Transfer};
use guest_agent::worker::Schedule;

use super::{Scenario, run};
use crate::cases::fixture::Fixture;
use crate::cases::pin::held_file;
use crate::cases::spurious::SpuriousWakeups;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{FileSystem, Rig, Waiting};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "pins-one-by-one",
        finding: |kernel| (kernel == KernelKind::NoBioWake).then_some("A"),
        about: "a page is pinned by a write to a disk and five reads from a file of FUSE; they are \
                answered one after the other while the file is truncated: the truncate \
                waits for the last, and sleeps until then",
        source: "mm/memremap.c and the seed's mm/gup.c: waiters are woken when the count says that \
                 nobody is left, not for each who leaves",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| expected(kernel, fs, Pin::AioWrite, RemovalKind::Truncate),
        run: run!(pins_one_by_one),
    },
    Scenario {
        name: "woken-in-vain",
        finding: |kernel| (kernel == KernelKind::Newer).then_some("B"),
        about: "while a truncate waits, the page is drained from a pipe and spliced into it again, \
                some times, by who has the CPU first: the truncate is woken for a page that is in \
                use again by the time that it runs",
        source: "mm/memremap.c wakes when the reference is dropped; who waits looks when it runs",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| match kernel {
            // As in refault-during-wait: a mapping holds a reference.
            KernelKind::Newer => vec![Outcome::Stuck],
            kernel => expected(kernel, fs, Pin::Vmsplice, RemovalKind::Truncate),
        },
        run: run!(woken_spuriously),
    },
];

/// Further pins of the page, beside the one that is held to the end: fewer than a daemon has
/// threads. They are no requests to the disk, because with so many of them QEMU holds a reply back
/// until the next reply arrives.
const FURTHER_PINS: u64 = 5;
/// How often the page is dropped and taken again.
const ROUNDS: u32 = 8;

async fn pins_one_by_one(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::Truncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::AioWrite, seen).await?;
    let further = |nth: u64| {
        (
            format!("pin-{nth}"),
            fixture.page.disk_at + nth * fixture.page.len as u64,
        )
    };
    let further: Vec<_> = (1..=FURTHER_PINS).map(further).collect();
    let device = held_file(&mut fixture.pinner, fs).await?;
    for (name, offset) in further.iter().cloned() {
        let transfer = Transfer {
            map: fixture.page.map.clone(),
            at: fixture.page.at,
            len: fixture.page.len,
            device: device.clone(),
            offset,
            // The host permits one write to a file at a time.
            write: false,
        };
        fixture.pinner.ask(AioSubmit { name, transfer }).await?;
        rig.held_share().held(offset).await?;
    }
    seen.step(format_args!(
        "the file of FUSE delays {FURTHER_PINS} replies"
    ));
    let pending = fixture.remover.begin(fixture.removal()).await?;
    let mut waiting = kind.watch(rig, &mut fixture, &pending).await?;
    if let Waiting::Blocked(task) = &waiting {
        let spurious = SpuriousWakeups::begin(rig.watcher(), task, seen).await?;
        seen.blocked = Some(task.clone());
        for (name, offset) in further {
            rig.held_share().release(offset)?;
            fixture.pinner.ask(AioReap { name }).await?;
            waiting = kind.watch(rig, &mut fixture, &pending).await?;
            if !matches!(waiting, Waiting::Blocked(_)) {
                break;
            }
        }
        spurious.end(rig.watcher(), seen).await?;
        seen.step("all other pins have ended");
    }
    matrix::go_on_from(rig, &mut fixture, held, &pending, waiting, seen).await?;
    rig.release_all();
    matrix::close(rig, fixture, seen).await
}

async fn woken_spuriously(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::Truncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::Vmsplice, seen).await?;
    seen.is_woken_by_case = true;
    fixture.pinner.ask(Schedule { first: true }).await?;
    fixture.remover.ask(Schedule { first: false }).await?;
    let pending = fixture.remover.begin(fixture.removal()).await?;
    let mut waiting = kind.watch(rig, &mut fixture, &pending).await?;
    if let Waiting::Blocked(task) = &waiting {
        let spurious = SpuriousWakeups::begin(rig.watcher(), task, seen).await?;
        seen.blocked = Some(task.clone());
        // Puts the page back into the page tables. A fault takes the lock that the waiting removal
        // needs as well.
        let touch = Touch {
            map: fixture.page.map.clone(),
            at: fixture.page.at,
            len: fixture.page.len,
            store: true,
        };
        fixture.pinner.ask(touch).await?;
        for _ in 0..ROUNDS {
            let again = SpliceAgain {
                name: fixture.page.pin(),
                map: fixture.page.map.clone(),
                at: fixture.page.at,
                len: fixture.page.len,
            };
            fixture.pinner.ask(again).await?;
            waiting = kind.watch(rig, &mut fixture, &pending).await?;
            if !matches!(waiting, Waiting::Blocked(_)) {
                break;
            }
        }
        spurious.end(rig.watcher(), seen).await?;
        seen.step(format_args!(
            "the page was dropped and taken again, up to {ROUNDS} times"
        ));
    }
    matrix::go_on_from(rig, &mut fixture, held, &pending, waiting, seen).await?;
    matrix::close(rig, fixture, seen).await
}
