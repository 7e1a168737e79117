// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A page that comes back while a removal waits for it.

use anyhow::{Context as _, Result};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::files::Touch;

use super::{Scenario, run};
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{FileSystem, Rig, Waiting};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
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
}];

async fn refault_during_wait(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::Truncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    let pending = fixture.remover.begin(fixture.removal()).await?;
    let waiting = kind.watch(rig, &mut fixture, &pending).await?;
    if !matches!(waiting, Waiting::Blocked(_)) {
        matrix::go_on_from(rig, &mut fixture, held, &pending, waiting, seen).await?;
        return matrix::close(rig, fixture, seen).await;
    }
    // A removal that waits releases the lock that keeps faults out.
    let touch = Touch {
        map: fixture.page.map.clone(),
        at: fixture.page.at,
        len: fixture.page.len,
        store: true,
    };
    fixture.pinner.ask(touch).await?;
    seen.step("it waits for the page, which has been stored to meanwhile");
    matrix::go_on(rig, &mut fixture, held, &pending, seen).await?;
    matrix::close(rig, fixture, seen)
        .await
        .context("after the fault")
}
