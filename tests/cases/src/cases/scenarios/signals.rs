// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A signal arrives while a removal waits.

use anyhow::{Context as _, Result};
use dax_measure::lab::Contract;
use qemu_guest::vm::agent::Signal;

use super::{Scenario, run};
use crate::cases::fixture::Fixture;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{FileSystem, Rig, Waiting};

pub(super) const SCENARIOS: &[Scenario] = &[Scenario {
    name: "signal-during-wait",
    finding: |kernel| match kernel {
        KernelKind::NoBioWake => Some("A"),
        _ => Some("25"),
    },
    about: "a truncate that waits for a pinned page is stopped and continued: it waits on, and the \
            file keeps its size until the page is free",
    source: "___wait_var_event() in TASK_INTERRUPTIBLE: ERESTARTSYS, and the system call restarts",
    fs: &FileSystem::ALL,
    contract: Contract::MustWait,
    signs: Signs::DROPPED_PAGE,
    expected: |kernel, fs| expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
    run: run!(signal_during_wait),
}];

async fn signal_during_wait(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let kind = RemovalKind::Truncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = matrix::take(rig, &mut fixture, Pin::AioRead, seen).await?;
    let pending = fixture.remover.begin(fixture.removal()).await?;
    let waiting = kind.watch(rig, &mut fixture, &pending).await?;
    if let Waiting::Blocked(_) = waiting {
        fixture.remover.signal(Signal(libc::SIGSTOP));
        fixture.remover.signal(Signal(libc::SIGCONT));
        seen.step("it waits for the page, and has been stopped and continued");
        let path = fixture.files.file.clone();
        let size = rig.vm().agent().stat(&path).await?.size;
        if size != fixture.files.len {
            seen.harm = Some(format!("the signal left a file of {size} bytes"));
        }
    }
    let harm = seen.harm.take();
    matrix::go_on_from(rig, &mut fixture, held, &pending, waiting, seen).await?;
    seen.harm = seen.harm.take().or(harm);
    matrix::close(rig, fixture, seen)
        .await
        .context("after the signal")
}
