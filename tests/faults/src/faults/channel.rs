// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The back-end channel is closed, and the VM goes on.

use anyhow::{Result, ensure};
use virtiofs_driver::window::{Action, CallKind};

use super::shmem::without_window;
use crate::fault::{Fault, Setting};
use crate::model::Slot;
use crate::rig::{Held, Rig, RigOptions, expect_errno};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("channel::closed_at_a_map", |setting| {
        closed_at(setting, CallKind::Map)
    }),
    Fault::new("channel::closed_at_an_unmap", |setting| {
        closed_at(setting, CallKind::Unmap)
    }),
    Fault::new("channel::closed_at_a_fence", |setting| {
        closed_at(setting, CallKind::Fence)
    }),
    Fault::new("channel::closed_at_rest", closed_at_rest),
    Fault::new("channel::closed_under_many", closed_under_many),
];

fn closed_at(setting: &Setting, kind: CallKind) -> Result<()> {
    let (mut rig, file) = Rig::mapped(setting)?;
    rig.next_call(kind, Action::CloseChannel);
    let asked = match kind {
        CallKind::Unmap => rig.ask_unmap(0, Slot(1)),
        _ => rig.ask_map(0, file, 0, Slot(2)),
    };
    expect_errno(asked, libc::EIO, "a call that the channel is closed at")?;
    without_window(&mut rig, file)?;
    rig.verify_bytes()?;
    rig.leave()
}

fn closed_at_rest(setting: &Setting) -> Result<()> {
    let (mut rig, file) = Rig::mapped(setting)?;
    rig.vm.close_channel();
    without_window(&mut rig, file)?;
    // Mappings stay: without the channel the daemon can't ask the VMM to remove one.
    rig.verify_bytes()?;
    rig.store(Slot(1), 1000, 5000)?;
    rig.read(1, file, 0, 100_000)?;
    rig.leave()
}

/// One request waits for its answer, and the others wait behind it.
fn closed_under_many(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    let file = rig.create(0, 100_000)?;
    let held = Held::new();
    rig.next_call(CallKind::Map, Action::Hold(held.gate()));
    let flights: Vec<_> = (0..rig.slots)
        .map(|slot| rig.begin_map(slot as usize % 2, file, 0, Slot(slot)))
        .collect::<Result<_>>()?;
    held.wait_until_reached()?;
    rig.vm.close_channel();
    held.release();
    let landed = rig.land(&flights)?;
    let failed = landed.iter().all(|one| one.result == Err(libc::EIO));
    ensure!(failed, "{landed:?}");
    without_window(&mut rig, file)?;
    rig.verify_bytes()?;
    rig.leave()
}
