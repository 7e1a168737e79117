// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A signal arrives while a removal waits.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_measure::lab::{Contract, Outcome};
use guest_agent::removals::Removal;
use qemu_guest::vm::agent::Signal;
use tokio::time::timeout;

use super::{Scenario, race, run};
use crate::cases::fixture::Fixture;
use crate::cases::matrix::{Truncating, WaitingTruncate};
use crate::cases::wait::does_not_return;
use crate::cases::{KernelKind, Observation, Pin, RemovalKind, Signs, expected, matrix};
use crate::host::{BREAK_LAYOUTS, FileSystem, Pending, Rig, Waiting, Who, WorkerError};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "signal-during-wait",
        finding: |kernel| match kernel {
            KernelKind::NoBioWake => Some("A"),
            _ => Some("25"),
        },
        about: "a truncate that waits for a pinned page is stopped and continued: it waits on, and \
                the file keeps its size until the page is free",
        source: "___wait_var_event() in TASK_INTERRUPTIBLE: ERESTARTSYS, and the system call \
                 restarts",
        fs: &FileSystem::ALL,
        contract: Contract::MustWait,
        signs: Signs::DROPPED_PAGE,
        expected: |kernel, fs| expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        run: run!(signal_during_wait),
    },
    Scenario {
        name: "sigkill-during-wait",
        finding: |_| None,
        about: "a process whose truncate waits for a pinned page is killed: it ends under the pin, \
                and the file stays as it was",
        source: KILLED,
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: killed,
        run: |rig, fs, seen| Box::pin(kill_during_wait(rig, fs, seen, libc::SIGKILL)),
    },
    Scenario {
        name: "sigterm-during-wait",
        finding: |_| None,
        about: "the same by SIGTERM, which the process does not handle",
        source: KILLED,
        fs: &FileSystem::ALL,
        contract: Contract::MayProceed,
        signs: Signs::DROPPED_PAGE,
        expected: killed,
        run: |rig, fs, seen| Box::pin(kill_during_wait(rig, fs, seen, libc::SIGTERM)),
    },
];

const KILLED: &str = "___wait_var_event() in TASK_INTERRUPTIBLE: a signal that kills ends the wait";

/// A kernel that never wakes who waits can still be told by a signal.
fn killed(kernel: KernelKind, fs: FileSystem) -> Vec<Outcome> {
    match kernel {
        KernelKind::NoWait => expected(kernel, fs, Pin::AioRead, RemovalKind::Truncate),
        _ => vec![Outcome::Finished],
    }
}

/// How long a process may take to end once it has been killed.
const END_DEADLINE: Duration = Duration::from_secs(20);

async fn signal_during_wait(rig: &mut Rig, fs: FileSystem, seen: &mut Observation) -> Result<()> {
    let Truncating {
        mut fixture,
        held,
        pending,
        waiting,
    } = matrix::begin_truncate(rig, fs, seen).await?;
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

async fn kill_during_wait(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
    signal: libc::c_int,
) -> Result<()> {
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
    seen.step(format_args!(
        "{} {} waits for the page",
        task.comm, task.pid
    ));
    seen.evidence.stack = Some(task.stack);
    fixture.remover.signal(Signal(signal));
    if !has_ended(&mut fixture, &pending, seen).await? {
        seen.step(format_args!(
            "signal {signal} has not ended it in {END_DEADLINE:?}"
        ));
        let waiter = Who::Process(fixture.remover.pid());
        does_not_return(rig.watcher(), waiter, &BREAK_LAYOUTS, seen).await?;
        rig.release_all();
        return race::close(rig, fixture, seen).await;
    }
    // What the files hold is looked at by another process.
    fixture.remover = rig.actor("remover").await?;
    let ended = held
        .release(&mut fixture.pinner, &fixture.page, rig)
        .await?;
    seen.step("the pin has been released and has ended");
    matrix::find_harm(rig, &mut fixture, true, false, ended, seen).await?;
    race::close(rig, fixture, seen).await
}

/// Whether the remover ends, by the signal that it was sent.
async fn has_ended(
    fixture: &mut Fixture,
    pending: &Pending<Removal>,
    seen: &mut Observation,
) -> Result<bool> {
    match timeout(END_DEADLINE, fixture.remover.done(pending)).await {
        Err(_elapsed) => Ok(false),
        Ok(Err(WorkerError::Ended { status, .. })) => {
            seen.step(format_args!("it has ended under the pin: {status}"));
            Ok(true)
        }
        Ok(Err(error)) => Err(error.into()),
        Ok(Ok(done)) => {
            seen.step("it has returned to the program, which goes on");
            seen.returned = Some(done.outcome);
            Ok(true)
        }
    }
}
