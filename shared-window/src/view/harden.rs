// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Drops privileges that the server of views does not need.
//!
//! It keeps CAP_SYS_ADMIN, which the kernel requires for backing an open by a file
//! (`fuse_backing_open`). If its process has to remove files of other users in the end, it also
//! keeps the two capabilities for that.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_name, set_no_new_privs,
};

/// The name that `ps` shows.
const PROCESS_NAME: &std::ffi::CStr = c"dax-views";

/// Capabilities for removing files, beside serving views.
pub(super) const TO_REMOVE_FILES: CapabilitySet =
    CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::FOWNER);

/// The capability for guarding files, beside CAP_SYS_ADMIN: to see other processes' system calls.
pub(super) const TO_SEE_CALLS: CapabilitySet = CapabilitySet::SYS_PTRACE;

/// The capability for serving views.
const TO_SERVE: CapabilitySet = CapabilitySet::SYS_ADMIN;

/// Names the process, hides its memory from others, and prevents it from regaining privileges.
pub(super) fn enclose() -> Result<(), Errno> {
    set_name(PROCESS_NAME)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)
}

/// Drops all capabilities except those for serving and `more`. Must come before the first thread:
/// capabilities belong to threads.
pub(super) fn drop_capabilities(more: CapabilitySet) -> Result<(), Errno> {
    let keep = TO_SERVE | more;
    clear_ambient_capability_set()?;
    drop_bounding_set(keep)?;
    let held = rustix::thread::capabilities(None)?;
    let keep = keep & held.permitted;
    set_capabilities(
        None,
        CapabilitySets {
            effective: keep,
            permitted: keep,
            inheritable: CapabilitySet::empty(),
        },
    )
}

/// Removes all other capabilities from the bounding set too, if the process may. Without
/// CAP_SETPCAP it may not, but then no `execve` follows that could use them.
fn drop_bounding_set(keep: CapabilitySet) -> Result<(), Errno> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !keep.contains(capability) => {
                match remove_capability_from_bounding_set(capability) {
                    Ok(()) => {}
                    Err(Errno::PERM) => return Ok(()),
                    Err(other) => return Err(other),
                }
            }
            Ok(_) => {}
            // The number is beyond the kernel's last capability.
            Err(Errno::INVAL) => return Ok(()),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}
