// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Calls to the VMM that go wrong, one at a time.

use anyhow::Result;
use virtiofs_driver::Script;
use virtiofs_driver::window::{Action, CallKind};

use crate::fault::{Fault, Setting};
use crate::model::Slot;
use crate::rig::{Rig, RigOptions, expect_errno};

/// The family.
pub const FAULTS: &[Fault] = &[Fault::new("shmem::a_map_is_refused", a_map_is_refused)];

fn a_map_is_refused(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    let file = rig.create(0, 100_000)?;
    next(&rig, CallKind::Map, Action::Refuse(libc::EFAULT));
    expect_errno(rig.ask_map(0, file, 0, Slot(3)), libc::EIO, "a refused map")?;
    rig.verify()?;
    rig.map(0, file, 0, Slot(3))?;
    rig.store(Slot(3), 50, 4000)?;
    rig.finish()
}

/// The next call of this kind gets this action, all others are served.
fn next(rig: &Rig, kind: CallKind, action: Action) {
    let mut action = Some(action);
    rig.vm.set_script(Script::new(move |call| {
        let now = call.kind == kind;
        now.then(|| action.take()).flatten().unwrap_or_default()
    }));
}
