// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Makes the lab's mounts on the host vanish with the lab, however it ends.

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};

/// Gives this process and its children a mount namespace of their own. Later mounts of other
/// processes still appear here.
///
/// # Errors
///
/// If the kernel does not permit it.
pub fn of_our_own() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)
        .context("can't have mounts of the lab's own; run it as root")?;
    let to_us_only = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", to_us_only).context("can't keep the lab's mounts from others")
}
