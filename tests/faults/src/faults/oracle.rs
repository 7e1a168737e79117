// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The VMM misbehaves where a faulty daemon would, to show that each check of the window detects
//! the error that it is for.

use std::time::Instant;

use anyhow::{Result, ensure};
use virtiofs_driver::window::{Action, CallKind};

use super::shmem::not_told;
use crate::checks::tables;
use crate::fault::{Fault, Setting};
use crate::model::{FileId, Shown, Slot};
use crate::rig::{Rig, STEP_LIMIT};

/// The family.
pub const FAULTS: &[Fault] = &[
    Fault::new(
        "oracle::a_mapping_that_is_not_there_is_found",
        not_mapped_is_found,
    ),
    Fault::new(
        "oracle::a_mapping_that_is_left_is_found",
        not_unmapped_is_found,
    ),
    Fault::new(
        "oracle::a_table_of_the_daemon_s_own_is_found",
        another_table_is_found,
    ),
    Fault::new(
        "oracle::a_guest_that_is_told_too_early_is_found",
        told_too_early_is_found,
    ),
];

/// Reports success, without an effect.
const ACKNOWLEDGED_ONLY: Action = Action::Answer(0);

/// A rig with a correct mapping of a file at slot 1.
fn mapped(setting: &Setting) -> Result<(Rig, FileId)> {
    let (mut rig, file) = Rig::mapped(setting)?;
    rig.verify()?;
    Ok((rig, file))
}

/// Fails unless the check has failed with these words.
fn reported<T>(checked: Result<T>, words: &str) -> Result<()> {
    let error = match checked {
        Ok(_) => anyhow::bail!("a check did not report {words:?}"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(error.contains(words), "reported, but as {error:?}");
    Ok(())
}

/// The VMM acknowledges a mapping and does not make it. The guest is told of a missing mapping.
fn not_mapped_is_found(setting: &Setting) -> Result<()> {
    let (mut rig, file) = mapped(setting)?;
    rig.next_call(CallKind::Map, ACKNOWLEDGED_ONLY);
    reported(rig.map(0, file, 0, Slot(2)), "nothing is mapped at")?;
    reported(tables::vmm_has(&rig.window, &rig.shown), "the VMM has")?;
    reported(rig.verify_bytes(), "nothing is mapped at")?;
    reported(rig.verify(), "nothing is mapped at")?;
    rig.leave()
}

/// The VMM acknowledges a removal and leaves the mapping.
fn not_unmapped_is_found(setting: &Setting) -> Result<()> {
    let (mut rig, _) = mapped(setting)?;
    rig.next_call(CallKind::Unmap, ACKNOWLEDGED_ONLY);
    reported(rig.unmap(0, Slot(1)), "is there after REMOVEMAPPING")?;
    reported(tables::vmm_has(&rig.window, &rig.shown), "the VMM has")?;
    reported(rig.verify(), "the VMM has")?;
    rig.leave()
}

/// The daemon has a mapping that the model lacks, lacks one that the model has, or has a different
/// one.
fn another_table_is_found(setting: &Setting) -> Result<()> {
    let (mut rig, file) = mapped(setting)?;
    rig.ask_map(0, file, 0, Slot(2))?;
    reported(tables::daemon_has(&mut rig), "which is a hole")?;
    // The check has asked for the removal of the mapping.
    tables::daemon_has(&mut rig)?;

    rig.ask_unmap(0, Slot(1))?;
    reported(
        tables::daemon_has(&mut rig),
        "the daemon's table is another",
    )?;
    // The check has asked for the mapping's removal.
    tables::daemon_has(&mut rig)?;

    let other = rig.create(1, 50_000)?;
    let from = virtiofs_driver::FileOffset(0);
    rig.shown.0.insert(Slot(1), Shown { file: other, from });
    reported(
        tables::daemon_has(&mut rig),
        "the daemon's table is another",
    )?;
    rig.finish()
}

/// The VMM acknowledges a mapping that it never makes, so the guest is told before the mapping is
/// in effect.
fn told_too_early_is_found(setting: &Setting) -> Result<()> {
    let (mut rig, file) = mapped(setting)?;
    rig.next_call(CallKind::Map, ACKNOWLEDGED_ONLY);
    rig.begin_map(0, file, 0, Slot(2))?;
    rig.watch.step("the guest is told too early");
    let deadline = Instant::now() + STEP_LIMIT;
    let told = loop {
        match not_told(&mut rig) {
            Ok(()) => ensure!(Instant::now() < deadline, "not told within {STEP_LIMIT:?}"),
            told @ Err(_) => break told,
        }
        std::thread::yield_now();
    };
    reported(told, "told too early")?;
    let there = rig.window.mapping_at(Slot(2).offset());
    ensure!(there.is_none(), "it was not too early: {there:?}");
    rig.leave()
}
