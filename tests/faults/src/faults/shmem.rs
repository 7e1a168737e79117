// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Calls to the VMM that are refused, answered late, answered twice or never answered.

use anyhow::{Result, ensure};
use virtiofs_driver::fuse::Completion;
use virtiofs_driver::window::{Action, CallKind, Violation};
use virtiofs_driver::{Body, Request};

use crate::fault::{Fault, Setting};
use crate::model::{FileId, Slot};
use crate::rig::{Flight, Held, Rig, RigOptions, expect_errno};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("shmem::a_map_is_refused", a_map_is_refused),
    Fault::new("shmem::an_unmap_is_refused", an_unmap_is_refused),
    Fault::new("shmem::every_call_is_refused", every_call_is_refused),
    Fault::new("shmem::a_map_is_answered_late", |setting| {
        answered_late(setting, CallKind::Map, Action::Hold)
    }),
    Fault::new("shmem::an_unmap_is_answered_late", |setting| {
        answered_late(setting, CallKind::Unmap, Action::Hold)
    }),
    Fault::new("shmem::a_fence_is_answered_late", |setting| {
        answered_late(setting, CallKind::Fence, Action::Hold)
    }),
    Fault::new("shmem::a_map_takes_effect_late", |setting| {
        answered_late(setting, CallKind::Map, Action::HoldEffect)
    }),
    Fault::new(
        "shmem::an_unmap_takes_effect_late",
        an_unmap_takes_effect_late,
    ),
    Fault::new("shmem::a_map_is_answered_twice", |setting| {
        answered_twice(setting, CallKind::Map)
    }),
    Fault::new("shmem::an_unmap_is_answered_twice", |setting| {
        answered_twice(setting, CallKind::Unmap)
    }),
    Fault::new("shmem::a_fence_is_answered_twice", |setting| {
        answered_twice(setting, CallKind::Fence)
    }),
    Fault::new("shmem::a_map_is_never_answered", |setting| {
        never_answered(setting, CallKind::Map)
    }),
    Fault::new("shmem::an_unmap_is_never_answered", |setting| {
        never_answered(setting, CallKind::Unmap)
    }),
    Fault::new("shmem::a_fence_is_never_answered", |setting| {
        never_answered(setting, CallKind::Fence)
    }),
];

fn a_map_is_refused(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    let file = rig.create(0, 100_000)?;
    rig.next_call(CallKind::Map, Action::Refuse(libc::EFAULT));
    expect_errno(rig.ask_map(0, file, 0, Slot(3)), libc::EIO, "a refused map")?;
    rig.verify()?;
    rig.map(0, file, 0, Slot(3))?;
    rig.store(Slot(3), 50, 4000)?;
    rig.finish()
}

/// QEMU refuses an unmap only if nothing is mapped, so the guest is told that the mapping is gone.
/// If this VMM has the mapping all the same, the range stays as it is, and no other file is mapped
/// there.
fn an_unmap_is_refused(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    let (file, other) = (rig.create(0, 100_000)?, rig.create(1, 50_000)?);
    rig.map(0, file, 0, Slot(3))?;
    rig.next_call(CallKind::Unmap, Action::Refuse(libc::EFAULT));
    rig.ask_unmap(0, Slot(3))?;
    expect_errno(rig.ask_map(1, other, 0, Slot(3)), libc::EIO, "a map there")?;
    rig.verify_bytes()?;
    let overlaps = |one: &Violation| matches!(one, Violation::Overlap { .. });
    let broken = rig.window.violations();
    ensure!(
        broken.len() == 1 && broken.iter().all(overlaps),
        "{broken:?}"
    );
    rig.leave()
}

fn every_call_is_refused(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    let files = [rig.create(0, 100_000)?, rig.create(1, 5000)?];
    rig.refuse_all(&[CallKind::Map, CallKind::Unmap, CallKind::Fence]);
    for slot in (0..rig.slots).map(Slot) {
        for (queue, file) in files.into_iter().enumerate() {
            expect_errno(rig.ask_map(queue, file, 0, slot), libc::EIO, "a map")?;
        }
    }
    rig.write(0, files[0], 99_000, b"through FUSE")?;
    rig.read(1, files[0], 90_000, 50_000)?;
    rig.serve_all();
    rig.map(0, files[0], 0, Slot(0))?;
    rig.finish()
}

/// Begins a request that makes a call of this kind.
fn begin(rig: &mut Rig, kind: CallKind, file: FileId) -> Result<Flight> {
    match kind {
        CallKind::Unmap => rig.begin_unmap(0, Slot(1)),
        _ => rig.begin_map(0, file, 0, Slot(2)),
    }
}

/// The guest is not told before the answer and the effect. Other requests are served meanwhile, in
/// the same queue as in another one.
fn answered_late(
    setting: &Setting,
    kind: CallKind,
    action: fn(virtiofs_driver::window::Gate) -> Action,
) -> Result<()> {
    let (mut rig, file) = Rig::mapped(setting)?;
    let held = Held::new();
    rig.next_call(kind, action(held.gate()));
    let flight = begin(&mut rig, kind, file)?;
    held.wait_until_reached()?;
    rig.read(1, file, 0, 100_000)?;
    rig.write(1, file, 70_000, b"meanwhile")?;
    served_behind(&mut rig, file)?;
    not_told(&mut rig)?;
    held.release();
    let landed = rig.land(&[flight])?;
    ensure!(landed.iter().all(|one| one.result.is_ok()), "{landed:?}");
    rig.finish()
}

/// The guest is told of a removal as soon as the VMM has acknowledged it. The next mapping at the
/// same place comes after the removal, and the guest is told of that mapping once it is in effect.
fn an_unmap_takes_effect_late(setting: &Setting) -> Result<()> {
    let (mut rig, _) = Rig::mapped(setting)?;
    let other = rig.create(1, 50_000)?;
    let held = Held::new();
    rig.next_call(CallKind::Unmap, Action::HoldEffect(held.gate()));
    let removal = begin(&mut rig, CallKind::Unmap, other)?;
    let landed = rig.land(&[removal])?;
    ensure!(landed.iter().all(|one| one.result.is_ok()), "{landed:?}");
    held.wait_until_reached()?;
    let next = rig.begin_map(0, other, 0, Slot(1))?;
    rig.read(1, other, 0, 50_000)?;
    not_told(&mut rig)?;
    held.release();
    let landed = rig.land(&[next])?;
    ensure!(landed.iter().all(|one| one.result.is_ok()), "{landed:?}");
    rig.load(Slot(1))?;
    rig.finish()
}

/// A request of the first queue is served while another one waits there.
fn served_behind(rig: &mut Rig, file: FileId) -> Result<()> {
    rig.watch.step("a request behind one that waits");
    let node = rig.files.get(file).node;
    let pipeline = rig.clients[0].pipeline();
    let sent = pipeline.submit(&Request::new(node, Body::getattr(None)))?;
    let Completion { unique, result } = pipeline.complete()?;
    ensure!(unique == sent, "the guest was told too early of {unique}");
    result?;
    Ok(())
}

/// Checks that the guest has no completion on the first queue yet.
pub fn not_told(rig: &mut Rig) -> Result<()> {
    let early = rig.clients[0].pipeline().poll()?;
    ensure!(early.is_none(), "the guest was told too early: {early:?}");
    Ok(())
}

/// An answer must not be taken for the answer to a later question, so the daemon asks nothing more.
fn answered_twice(setting: &Setting, kind: CallKind) -> Result<()> {
    let (mut rig, file) = Rig::mapped(setting)?;
    rig.next_call(kind, Action::AnswerTwice);
    let flight = begin(&mut rig, kind, file)?;
    let landed = rig.land(&[flight])?[0];
    // A map is followed by a confirming question, which finds the second answer. If a surplus
    // answer follows the last answer of a request, the next request finds it.
    let wanted = match kind {
        CallKind::Map => Err(libc::EIO),
        _ => Ok(()),
    };
    ensure!(landed.result == wanted, "{landed:?}");
    without_window(&mut rig, file)?;
    rig.leave()
}

/// Checks that the window fails from now on and the file system does not. The file has 100,000
/// bytes, and is not in slot 3.
pub fn without_window(rig: &mut Rig, file: FileId) -> Result<()> {
    for queue in 0..rig.clients.len() {
        let asked = rig.ask_map(queue, file, 0, Slot(3));
        expect_errno(asked, libc::EIO, "a map without a channel")?;
        rig.write(queue, file, 12_345, b"through FUSE")?;
        rig.read(queue, file, 0, 100_000)?;
    }
    let other = rig.create(0, 5000)?;
    rig.remove(0, other)?;
    rig.pause()?;
    rig.read(0, file, 0, 100_000)
}

/// The request hangs. Other requests are served, the device can be stopped, and the daemon can be
/// ended.
fn never_answered(setting: &Setting, kind: CallKind) -> Result<()> {
    let (mut rig, file) = Rig::mapped(setting)?;
    rig.next_call(kind, Action::NeverAnswer);
    begin(&mut rig, kind, file)?;
    rig.read(1, file, 0, 100_000)?;
    served_behind(&mut rig, file)?;
    rig.pause()?;
    rig.write(1, file, 70_000, b"meanwhile")?;
    rig.read(1, file, 0, 100_000)?;
    not_told(&mut rig)?;
    rig.leave()
}
