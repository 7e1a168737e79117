// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! So many ordinary references that the kernel takes them for a pin.

use std::time::Duration;

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::Close;
use guest_agent::pins::VmspliceMany;
use qemu_guest::vm::agent::Signal;

use super::{Scenario, race, run};
use crate::cases::fixture::Fixture;
use crate::cases::wait::{does_not_return, watch_on};
use crate::cases::{KernelKind, Observation, RemovalKind, Signs};
use crate::host::{BREAK_LAYOUTS, FileSystem, Rig, Waiting, Who};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "many-references",
    finding: |_| None,
    about: "1,023 references by pipes to one page, which with its own look like a pin; the file is \
            truncated, and the pipes are closed",
    source: "include/linux/mm.h: folio_maybe_dma_pinned() is refcount >= GUP_PIN_COUNTING_BIAS; the \
             seed wakes in unpin_user_page(), which no pipe calls",
    fs: &FileSystem::ALL,
    contract: Contract::MustWait,
    signs: Signs::DROPPED_PAGE,
    expected: |kernel, _| match kernel {
        KernelKind::Stock | KernelKind::Newer | KernelKind::Fixed | KernelKind::NoBioWake => {
            vec![Outcome::Waited]
        }
        KernelKind::Seed | KernelKind::NoWake => vec![Outcome::Stuck],
        KernelKind::NoWait => vec![Outcome::Complained],
    },
    run: run!(many_references),
}];

/// GUP_PIN_COUNTING_BIAS of linux/mm.h without the reference that an idle page has in 6.14.
const REFERENCES: u32 = 1023;
/// How long the truncate may take after the page is free.
const WAKE_DEADLINE: Duration = Duration::from_secs(20);
/// How long the truncate may take after a signal.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(60);

async fn many_references(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, RemovalKind::Truncate).await?;
    seen.stands(&fixture);
    let splice = VmspliceMany {
        name: "pipes".to_owned(),
        map: fixture.page.map.clone(),
        at: fixture.page.at,
        times: REFERENCES,
    };
    let taken = fixture.pinner.ask(splice).await?;
    seen.step(format_args!("{taken} references are in pipes"));
    let removal = fixture.removal();
    let pending = fixture.remover.begin(removal).await?;
    let remover = &mut fixture.remover;
    let mut waiting = Waiting::of(remover, &pending, rig.watcher(), &BREAK_LAYOUTS).await?;
    if let Waiting::Blocked(task) = waiting {
        seen.step("the truncate waits for the page");
        seen.evidence.stack = Some(task.stack.clone());
        seen.blocked = Some(task);
        waiting = watch_on(rig, &mut fixture, &pending).await?;
    }
    match waiting {
        Waiting::Blocked(_) => seen.step("it still waits"),
        Waiting::Over(done) => {
            seen.early = seen.blocked.is_some();
            seen.returned = Some(done.outcome);
            return race::close(rig, fixture, seen).await;
        }
        Waiting::Elsewhere(task) => seen.is_elsewhere(task),
    }
    let name = "pipes".to_owned();
    fixture.pinner.ask(Close { name }).await?;
    seen.step("the pipes are closed");
    if let Some(done) = fixture.remover.done_within(&pending, WAKE_DEADLINE).await? {
        done.outcome?;
        seen.step("the truncate has returned");
        seen.harm = fixture.wrong_bytes(rig, true, false).await?;
        return race::close(rig, fixture, seen).await;
    }
    seen.step(format_args!("it has not returned in {WAKE_DEADLINE:?}"));
    let waiter = Who::Process(fixture.remover.pid());
    does_not_return(rig.watcher(), waiter, &BREAK_LAYOUTS, seen).await?;
    for signal in [libc::SIGSTOP, libc::SIGCONT] {
        fixture.remover.signal(Signal(signal));
    }
    let woken = fixture
        .remover
        .done_within(&pending, SIGNAL_DEADLINE)
        .await?;
    if woken.is_some() {
        seen.step("a signal woke it, and it returned: only the wake-up was missing");
    }
    race::close(rig, fixture, seen).await
}
