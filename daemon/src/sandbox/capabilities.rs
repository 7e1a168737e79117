// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Drops capabilities.

use std::collections::BTreeSet;

use capng::{Action, Set, Type};

use crate::config::KeptCapabilities;

/// The capabilities for removing a file in a directory of another user.
const TO_REMOVE_FILES: [&str; 2] = ["DAC_OVERRIDE", "FOWNER"];

/// Keeps the capabilities of the daemon that serves, and no others in any set.
///
/// Without root there are none to drop, so this does nothing.
pub(crate) fn keep(capabilities: &KeptCapabilities) -> Result<(), capng::Error> {
    if rustix::process::geteuid().is_root() {
        keep_only(capabilities.names().collect())?;
    }
    Ok(())
}

/// Keeps only the capabilities for cleaning up after the daemon.
pub(crate) fn keep_right_to_remove_files() -> Result<(), capng::Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // A container may have dropped some of these before.
    capng::get_caps_process()?;
    let had: BTreeSet<_> = TO_REMOVE_FILES
        .into_iter()
        .filter(|name| {
            capng::name_to_capability(name)
                .is_ok_and(|number| capng::have_capability(Type::PERMITTED, number))
        })
        .collect();
    keep_only(had.into_iter().collect())
}

fn keep_only(names: Vec<&str>) -> Result<(), capng::Error> {
    capng::clear(Set::BOTH);
    capng::updatev(Action::ADD, Type::PERMITTED | Type::EFFECTIVE, names)?;
    capng::apply(Set::BOTH)
}
