// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Gives up what the server of views does not need.
//!
//! What it keeps: CAP_SYS_ADMIN, which the kernel wants for backing an open by a file
//! (`fuse_backing_open`), and, where its process has to remove files of other users in the end,
//! the two capabilities for that.

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_name, set_no_new_privs,
};

/// What `ps` shows.
const PROCESS_NAME: &std::ffi::CStr = c"dax-views";

/// What a process may need beside serving views.
pub(super) const TO_REMOVE_FILES: CapabilitySet =
    CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::FOWNER);

/// What keeping others from truncating files needs, beside CAP_SYS_ADMIN: to see what they do.
pub(super) const TO_SEE_CALLS: CapabilitySet = CapabilitySet::SYS_PTRACE;

/// What serving views needs.
const TO_SERVE: CapabilitySet = CapabilitySet::SYS_ADMIN;

/// Names the process, hides its memory from others, and bars privileges from coming back.
pub(super) fn enclose() -> Result<(), Errno> {
    set_name(PROCESS_NAME)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)
}

/// Drops all capabilities but those for serving and `more`. Has to come before the first thread:
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

/// Takes what is not kept out of the bounding set too, where the process may. Without CAP_SETPCAP
/// it may not, and then no `execve` will follow that could make use of it anyway.
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
            // Behind the kernel's last capability.
            Err(Errno::INVAL) => return Ok(()),
            Err(other) => return Err(other),
        }
    }
    Ok(())
}
