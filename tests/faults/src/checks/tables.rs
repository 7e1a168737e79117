// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window's table in the daemon, in the VMM and in the model are equal.
//!
//! A test can't read the daemon's table, so it asks: a SETUPMAPPING of an existing mapping causes
//! no message to the VMM, and a REMOVEMAPPING of a missing one fails with EINVAL.

use anyhow::{Context, Result, ensure};
use virtiofs_driver::Window;
use virtiofs_driver::window::Violation;

use crate::model::{RANGE, Slot, WindowModel};
use crate::rig::{Rig, STEP_LIMIT, expect_errno};

const PAGE: u64 = 4096;

/// Checks that no request to the VMM was one that QEMU refuses or dies of. There are two
/// exceptions. A daemon can't prevent that the VMM reads a message after it has stopped the device.
/// And at INIT the daemon asks for a page of an empty file, to see how the VMM behaves.
pub fn rules_were_kept(window: &Window) -> Result<()> {
    let mut broken = window.violations();
    let scratch = Violation::TooSmall {
        size: 0,
        needed: PAGE,
    };
    broken.retain(|one| *one != Violation::WhileStopped && *one != scratch);
    ensure!(broken.is_empty(), "against the VMM's rules: {broken:?}");
    Ok(())
}

/// Waits until all that the VMM has acknowledged is in effect. A guest may be told of a removal
/// earlier.
pub fn settled(window: &Window) -> Result<()> {
    let settled = window.wait_until_settled(STEP_LIMIT);
    ensure!(settled, "an effect is missing after {STEP_LIMIT:?}");
    Ok(())
}

/// Checks that the VMM has exactly the model's mappings.
pub fn vmm_has(window: &Window, model: &WindowModel) -> Result<()> {
    settled(window)?;
    let there: Vec<_> = window
        .mappings()
        .iter()
        .map(|one| (one.at, one.from, one.len))
        .collect();
    let table = model.table().into_iter();
    let wanted: Vec<_> = table.map(|(at, from)| (at, from, RANGE)).collect();
    ensure!(
        there == wanted,
        "the VMM has {there:x?}, the model {wanted:x?}"
    );
    Ok(())
}

/// Checks that the daemon's table has exactly the model's mappings.
pub fn daemon_has(rig: &mut Rig) -> Result<()> {
    settled(&rig.window)?;
    let before = rig.window.stats();
    for slot in (0..rig.slots).map(Slot) {
        match rig.shown.0.get(&slot).copied() {
            Some(shown) => rig
                .ask_map(0, shown.file, shown.from.0, slot)
                .with_context(|| format!("{slot:?}, which is mapped"))?,
            None => {
                let asked = rig.ask_unmap(0, slot);
                expect_errno(asked, libc::EINVAL, &format!("{slot:?}, which is a hole"))?;
            }
        }
    }
    settled(&rig.window)?;
    let after = rig.window.stats();
    ensure!(
        before == after,
        "the daemon's table is another: {after:?} after asking for what there is, {before:?} before"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use virtiofs_driver::FileOffset;

    use super::WindowModel;
    use crate::model::{FileId, Shown, Slot};

    #[test]
    fn the_models_table_is_in_order() {
        let mut model = WindowModel::default();
        for slot in [7, 3] {
            let (file, from) = (FileId(0), FileOffset(slot));
            model.0.insert(Slot(slot), Shown { file, from });
        }
        let wanted = [3, 7].map(|slot| (Slot(slot).offset(), FileOffset(slot)));
        assert_eq!(model.table(), wanted);
    }
}
