// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A page that comes back while a removal waits for it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::{Close, Touch};

use super::{Scenario, race, run};
use crate::cases::fixture::Fixture;
use crate::cases::matrix::WaitingTruncate;
use crate::cases::wait::does_not_return;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{BREAK_LAYOUTS, FileSystem, Rig, Who};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "refault-during-wait",
        finding: |kernel| match kernel {
            KernelKind::Newer => Some("B"),
            KernelKind::NoBioWake => Some("A"),
            _ => None,
        },
        about: "a truncate waits for a pinned page; meanwhile the page is stored to, which puts it into \
            the page tables again; then the pin ends, and the mapping stays",
        source: "fs/dax.c from 6.15 on: wait_page_idle() waits for a reference count of 0, and a mapping \
             has one, other than dax_busy_page(), which subtracts the mappings",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| match kernel {
            KernelKind::Newer => vec![Outcome::Stuck],
            kernel => expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        },
        run: run!(refault_during_wait),
    },
    Scenario {
        name: "unmap-ends-wait",
        finding: |kernel| (kernel == KernelKind::NoBioWake).then_some("A"),
        about: "a truncate waits for a pinned page, which is stored to meanwhile; the pin ends, and then \
            the mapping is dropped: whoever held the page last wakes the truncate",
        source: "mm/memory.c: from 6.15 on, zap_present_ptes() drops a mapping's reference in a batch, by \
             folios_put_refs()",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        run: run!(unmap_ends_wait),
    },
];

/// How long the truncate may take once nobody has the page any more.
const WAKE_DEADLINE: Duration = Duration::from_secs(20);

async fn refault_during_wait(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let begun = matrix::begin_waiting_truncate(rig, fs, seen).await?;
    let Some(WaitingTruncate {
        mut fixture,
        held,
        pending,
        task: _,
    }) = begun
    else {
        return Ok(());
    };
    // A removal that waits releases the lock that keeps faults out.
    fixture.pinner.ask(storing(&fixture)).await?;
    seen.step("it waits for the page, which has been stored to meanwhile");
    matrix::go_on(rig, &mut fixture, held, &pending, seen).await?;
    matrix::close(rig, fixture, seen)
        .await
        .context("after the fault")
}

async fn unmap_ends_wait(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let begun = matrix::begin_waiting_truncate(rig, fs, seen).await?;
    let Some(WaitingTruncate {
        mut fixture,
        held,
        pending,
        task,
    }) = begun
    else {
        return Ok(());
    };
    seen.evidence.stack = Some(task.stack.clone());
    seen.blocked = Some(task);
    fixture.pinner.ask(storing(&fixture)).await?;
    seen.step("it waits for the page, which has been stored to meanwhile");
    let ended = held
        .release(&mut fixture.pinner, &fixture.page, rig)
        .await?;
    let name = fixture.page.map.clone();
    fixture.pinner.ask(Close { name }).await?;
    seen.step("the pin has ended, and then the mapping was dropped");
    match fixture.remover.done_within(&pending, WAKE_DEADLINE).await? {
        Some(done) => {
            done.outcome.context("the truncate")?;
            seen.step("it has returned");
            matrix::find_harm(rig, &mut fixture, true, true, ended, seen).await?;
        }
        None => {
            let waiter = Who::Process(fixture.remover.pid());
            does_not_return(rig.watcher(), waiter, &BREAK_LAYOUTS, seen).await?;
        }
    }
    race::close(rig, fixture, seen).await
}

/// The op that stores to the page what it holds.
fn storing(fixture: &Fixture) -> Touch {
    Touch {
        map: fixture.page.map.clone(),
        at: fixture.page.at,
        len: fixture.page.len,
        store: true,
    }
}
