// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! SIGTERM and SIGKILL to each of the daemon's processes at every stage, and a new daemon after it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;

use super::reached::{Role, Stage, process, reach, send};
use crate::checks::bytes;
use crate::fault::{Fault, Setting};
use crate::model::Slot;
use crate::rig::{Rig, RigOptions, ended, expect_errno};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new("signals::while_it_listens", |setting| {
        at(setting, Stage::Listening)
    }),
    Fault::new("signals::while_a_vmm_negotiates", |setting| {
        at(setting, Stage::Negotiated)
    }),
    Fault::new("signals::while_files_are_open", |setting| {
        at(setting, Stage::FilesOpen)
    }),
    Fault::new("signals::while_files_are_mapped", |setting| {
        at(setting, Stage::Mapped)
    }),
    Fault::new("signals::while_a_map_is_under_way", |setting| {
        at(setting, Stage::MapUnderWay)
    }),
    Fault::new("signals::while_an_unmap_is_under_way", |setting| {
        at(setting, Stage::UnmapUnderWay)
    }),
    Fault::new("signals::while_the_device_is_stopped", |setting| {
        at(setting, Stage::Stopped)
    }),
    Fault::new("signals::the_companion_is_killed", the_companion_is_killed),
];

/// The process that gets the signal, the signal, and the exit code of the first process.
const ENDS: [(Role, Signal, Option<i32>); 5] = [
    (Role::Supervisor, Signal::TERM, Some(0)),
    (Role::Serving, Signal::TERM, Some(0)),
    (Role::Companion, Signal::TERM, Some(0)),
    (Role::Supervisor, Signal::KILL, None),
    (Role::Serving, Signal::KILL, Some(1)),
];

fn at(setting: &Setting, stage: Stage) -> Result<()> {
    for (role, signal, code) in ENDS {
        let share = tempfile::tempdir()?;
        let what = || format!("{signal:?} to the {role:?} process");
        let mut reached = reach(setting, &RigOptions::on(share.path()), stage)?;
        reached.watch.step(what());
        send(&reached.daemon, &reached.watch, role, signal)?;
        ended(&mut reached.daemon, code).with_context(what)?;
        let mut kept = reached.files.iter();
        kept.try_for_each(|file| bytes::on_host(share.path(), file))
            .with_context(what)?;
        drop(reached);
        again(setting, share.path())?;
    }
    Ok(())
}

/// Starts a new daemon on the same directory.
fn again(setting: &Setting, share: &Path) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::on(share))?;
    let file = rig.create(0, 30_000)?;
    rig.map(1, file, 0, Slot(1))?;
    rig.finish()
}

/// Mappings stay. Files that have a view can be mapped, others can't. All other requests work.
fn the_companion_is_killed(setting: &Setting) -> Result<()> {
    let mut rig = Rig::start(setting, &RigOptions::default())?;
    let (mapped, other) = (rig.create(0, 100_000)?, rig.create(1, 50_000)?);
    rig.map(0, mapped, 0, Slot(1))?;
    let companion = process(&rig.daemon, Role::Companion)?;
    rig.daemon.signal(companion, Signal::KILL)?;
    rig.watch.step("the companion ends");
    // The loop asks until the companion has ended.
    while Path::new(&format!("/proc/{companion}")).exists() {
        ensure!(!rig.watch.expired(), "the companion does not end");
        std::thread::yield_now();
    }
    rig.map(1, mapped, 0, Slot(2))?;
    rig.store(Slot(2), 70_000, 20_000)?;
    expect_errno(
        rig.ask_map(0, other, 0, Slot(3)),
        libc::EIO,
        "a map without a companion",
    )?;
    rig.verify()?;
    rig.unmap(0, Slot(1))?;
    rig.verify()?;
    rig.leave()
}
