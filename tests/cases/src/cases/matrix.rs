// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One cell of the matrix: a page is pinned, its blocks are removed, and the pin ends.

use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use dax_measure::lab::Contract::MustWait;
use guest_agent::files::{BusyReferences, KernelLog, Task};
use guest_agent::removals::Removal;
use qemu_guest::vm::agent::Signal;

use super::filler::worker_is_free;
use super::fixture::Fixture;
use super::held::{Ended, Held};
use super::spurious::SpuriousWakeups;
use super::wait::{does_not_return, is_early, watch_on};
use super::{Observation, complaints};
use super::{Pin, Reference, RemovalKind};
use crate::host::{BREAK_LAYOUTS, FileSystem, Lacking, Pending, Rig, Waiting, WorkerError};

/// How long a removal may take to return after the last reference to its page is gone. A removal
/// takes milliseconds, so one that has not returned by then was not woken.
const WAKE_DEADLINE: Duration = Duration::from_secs(20);
/// How long a removal that was not woken may take after a signal has woken it.
const SIGNAL_DEADLINE: Duration = Duration::from_secs(60);

/// Runs the cell. Observations from before a failure are kept.
///
/// # Errors
///
/// If the lab fails. A guest that dies is an error too; the caller tells the two apart.
pub async fn run(
    rig: &mut Rig,
    fs: FileSystem,
    pin: Pin,
    removal: RemovalKind,
    seen: &mut Observation,
) -> Result<()> {
    let mut fixture = Fixture::set_up(rig, fs, removal).await?;
    seen.stands(&fixture);
    let held = match take(rig, &mut fixture, pin, seen).await {
        Ok(held) => held,
        Err(error) => {
            let Some(lacking) = lacking(&error) else {
                return Err(error);
            };
            close(rig, fixture, seen).await?;
            return Err(lacking.into());
        }
    };
    remove_and_verify(rig, fixture, held, removal, seen).await
}

/// What the kernel lacks, if that is why a pin can't be taken.
fn lacking(error: &Error) -> Option<Lacking> {
    match error.downcast_ref() {
        Some(WorkerError::Fault { source, .. }) => Lacking::of(source),
        _ => None,
    }
}

/// Takes the pin.
pub(super) async fn take(
    rig: &Rig,
    fixture: &mut Fixture,
    pin: Pin,
    seen: &mut Observation,
) -> Result<Held> {
    let fs = fixture.files.fs;
    let held = pin
        .take(&mut fixture.pinner, fs, &fixture.page, rig)
        .await?;
    seen.step(format_args!("pinned: {}", held.proof));
    Ok(held)
}

/// A truncate that has begun under a pin of direct I/O.
pub(super) struct Truncating {
    pub(super) fixture: Fixture,
    pub(super) held: Held,
    pub(super) pending: Pending<Removal>,
    /// Where it waits, if it does.
    pub(super) waiting: Waiting<()>,
}

/// Begins to truncate a file with a page under direct I/O, and looks where that waits.
pub(super) async fn begin_truncate(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
) -> Result<Truncating> {
    let kind = RemovalKind::Truncate;
    let mut fixture = Fixture::set_up(rig, fs, kind).await?;
    seen.stands(&fixture);
    let held = take(rig, &mut fixture, Pin::AioRead, seen).await?;
    let pending = fixture.remover.begin(fixture.removal()).await?;
    let waiting = kind.watch(rig, &mut fixture, &pending).await?;
    Ok(Truncating {
        fixture,
        held,
        pending,
        waiting,
    })
}

/// A truncate that waits for the page, with the task that waits.
pub(super) struct WaitingTruncate {
    pub(super) fixture: Fixture,
    pub(super) held: Held,
    pub(super) pending: Pending<Removal>,
    pub(super) task: Task,
}

/// [`begin_truncate`] of a case that is about the wait. If there is none, the case is ended here.
pub(super) async fn begin_waiting_truncate(
    rig: &mut Rig,
    fs: FileSystem,
    seen: &mut Observation,
) -> Result<Option<WaitingTruncate>> {
    let Truncating {
        mut fixture,
        held,
        pending,
        waiting,
    } = begin_truncate(rig, fs, seen).await?;
    let Waiting::Blocked(task) = waiting else {
        go_on_from(rig, &mut fixture, held, &pending, waiting, seen).await?;
        close(rig, fixture, seen).await?;
        return Ok(None);
    };
    Ok(Some(WaitingTruncate {
        fixture,
        held,
        pending,
        task,
    }))
}

/// Removes the page under the pin, and ends the fixture.
pub(super) async fn remove_and_verify(
    rig: &mut Rig,
    mut fixture: Fixture,
    held: Held,
    kind: RemovalKind,
    seen: &mut Observation,
) -> Result<()> {
    fixture.fill_window(rig).await?;
    let removal = fixture.removal();
    remove_by_and_verify(rig, fixture, held, kind, removal, seen).await
}

/// Removes the page by another op than the kind's own, and ends the fixture.
pub(super) async fn remove_by_and_verify(
    rig: &mut Rig,
    mut fixture: Fixture,
    held: Held,
    kind: RemovalKind,
    removal: Removal,
    seen: &mut Observation,
) -> Result<()> {
    let pending = fixture.remover.begin(removal).await?;
    seen.step(format_args!("{} begins", kind.name()));
    let ran = go_on(rig, &mut fixture, held, &pending, seen).await;
    // Whatever the outcome, no task may be left waiting for a server.
    if !fixture.filler_lost {
        rig.release_all();
    }
    ran?;
    close(rig, fixture, seen).await
}

/// Ends the fixture, and reads the kernel's log for complaints.
pub(super) async fn close(rig: &mut Rig, fixture: Fixture, seen: &mut Observation) -> Result<()> {
    let had_filler = fixture.filler.is_some();
    if fixture.filler_lost {
        seen.step("a worker has taken a range under the filler's transfer: this guest's last case");
    } else if let Some(stack) = fixture.tear_down(rig).await? {
        seen.step("afterwards a file of the case can't be unlinked");
        seen.elsewhere = Some(stack.clone());
        seen.evidence.stack = Some(stack);
        rig.spoil();
    } else if had_filler && !worker_is_free(rig.watcher()).await? {
        seen.step("the worker still waits, for the filler that has ended: this guest's last case");
        rig.spoil();
    }
    let log = rig.watcher().ask(KernelLog {}).await?;
    seen.complaints = complaints(&log);
    seen.evidence.guest_log = log;
    seen.evidence.harm = seen.harm.clone();
    Ok(())
}

/// Runs from the start of a removal to the end of the removal and of the pin.
pub(super) async fn go_on(
    rig: &mut Rig,
    fixture: &mut Fixture,
    held: Held,
    pending: &Pending<Removal>,
    seen: &mut Observation,
) -> Result<()> {
    let waiting = fixture.kind.watch(rig, fixture, pending).await?;
    go_on_from(rig, fixture, held, pending, waiting, seen).await
}

/// The same, once it is known whether the removal waits.
pub(super) async fn go_on_from(
    rig: &mut Rig,
    fixture: &mut Fixture,
    held: Held,
    pending: &Pending<Removal>,
    mut waiting: Waiting<()>,
    seen: &mut Observation,
) -> Result<()> {
    let pin_writes = held.writes_page();
    let mut spurious = None;
    if let Waiting::Blocked(task) = waiting {
        seen.step(format_args!(
            "{} {} waits for the page",
            task.comm, task.pid
        ));
        spurious = Some(SpuriousWakeups::begin(rig.watcher(), &task, seen).await?);
        seen.evidence.stack = Some(task.stack.clone());
        count_references(rig, task.pid, seen).await?;
        seen.blocked = Some(task);
        waiting = watch_on(rig, fixture, pending).await?;
    }
    let mut removed = false;
    let mut wait_for_return = true;
    match waiting {
        Waiting::Blocked(_) => seen.step("it still waits"),
        Waiting::Over(done) => {
            wait_for_return = false;
            seen.early = seen.blocked.is_some();
            match &done.outcome {
                Ok(()) => seen.step("it has returned, and the page is still pinned"),
                Err(fault) => seen.step(format_args!("it was refused: {fault}")),
            }
            removed = done.outcome.is_ok();
            seen.returned = Some(done.outcome);
            if removed {
                fixture.removed_first = true;
                let owner = fixture.take_freed_space(pin_writes).await?;
                seen.owned(fixture.frame, &owner);
            }
        }
        Waiting::Elsewhere(task) => {
            seen.step("it neither returns nor waits for the page");
            seen.is_elsewhere(task);
        }
    }
    let released = Instant::now();
    let ended = held
        .release(&mut fixture.pinner, &fixture.page, rig)
        .await?;
    seen.step("the pin has been released and has ended");
    if let Some(failed) = &ended.failed {
        seen.step(format_args!("its transfer failed: {failed}"));
        rig.spoil();
    }
    let done = match wait_for_return {
        true => fixture.remover.done_within(pending, WAKE_DEADLINE).await?,
        false => None,
    };
    if let Some(spurious) = spurious {
        spurious.end(rig.watcher(), seen).await?;
    }
    if wait_for_return {
        let Some(done) = done else {
            seen.step(format_args!("it has not returned in {WAKE_DEADLINE:?}"));
            let waiter = fixture.kind.waiter(&fixture.remover);
            does_not_return(rig.watcher(), waiter, &BREAK_LAYOUTS, seen).await?;
            return wake_by_signal(fixture, pending, seen).await;
        };
        seen.early = is_early(&done, released, &ended);
        let host = done.heard.saturating_duration_since(ended.released);
        let guest = done.span.ended_ns.saturating_sub(ended.span.ended_ns);
        seen.evidence.wake_us.push(host.as_micros() as u64);
        seen.evidence.wake_guest_us.push(guest / 1000);
        match done.outcome {
            Ok(()) => {
                removed = true;
                seen.step("it has returned");
            }
            Err(fault) => {
                seen.step(format_args!("it failed: {fault}"));
                seen.blocked = None;
                seen.returned = Some(Err(fault));
            }
        }
    }
    find_harm(rig, fixture, pin_writes, removed, ended, seen).await
}

/// Records how many references the kernel counts to the page that a task waits for.
async fn count_references(rig: &mut Rig, pid: u32, seen: &mut Observation) -> Result<()> {
    match rig.watcher().ask(BusyReferences { pid }).await {
        Ok(None) => {}
        Ok(Some(count)) => {
            let kind = Reference::of_count(count).name();
            seen.step(format_args!("the kernel counts {count} references: {kind}"));
            seen.references = Some(count);
        }
        Err(WorkerError::Fault { source, .. }) => {
            seen.step(format_args!("references are not counted: {source}"));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Compares what the pin's owner got, and what all files hold, with what they must be.
pub(super) async fn find_harm(
    rig: &Rig,
    fixture: &mut Fixture,
    pin_writes: bool,
    removed: bool,
    ended: Ended,
    seen: &mut Observation,
) -> Result<()> {
    let page_written = pin_writes && ended.failed.is_none();
    // A page that stays in the file holds what was last written to it. A late reader sees that too.
    let kind = fixture.kind;
    let stays = kind == RemovalKind::CopyOver && kind.contract(fixture.files.fs) != MustWait;
    let leaked = ended.leaked.filter(|_| !stays);
    seen.harm = match leaked {
        Some(leaked) => Some(format!("who read the pinned page got other data: {leaked}")),
        None => fixture.wrong_bytes(rig, removed, page_written).await?,
    };
    if seen.harm.is_some() {
        seen.step("bytes are wrong");
    }
    Ok(())
}

/// A signal ends the wait of a removal that was not woken. The condition that it waits for has long
/// been true.
async fn wake_by_signal(
    fixture: &mut Fixture,
    pending: &Pending<Removal>,
    seen: &mut Observation,
) -> Result<()> {
    fixture.remover.signal(Signal(libc::SIGSTOP));
    fixture.remover.signal(Signal(libc::SIGCONT));
    match fixture
        .remover
        .done_within(pending, SIGNAL_DEADLINE)
        .await?
    {
        Some(_) => {
            seen.step("a signal woke it, and it returned: only the wake-up was missing");
            // The worker still waits, for the filler or for the page. No signal reaches a kernel
            // worker.
            let worker = [RemovalKind::ReclaimInline, RemovalKind::ReclaimWorker];
            seen.woken = !worker.contains(&fixture.kind);
        }
        None => seen.step(format_args!(
            "even a signal did not make it return in {SIGNAL_DEADLINE:?}"
        )),
    }
    Ok(())
}
