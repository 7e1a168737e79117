// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the lab mounts on the host goes with the lab, however it ends.

use anyhow::{Context, Result};
use nix::sched::{CloneFlags, unshare};
use rustix::mount::{MountPropagationFlags, mount_change};

/// Gives this process, and those that it starts, mounts of their own. Others' mounts are still
/// seen here.
///
/// # Errors
///
/// If the kernel does not allow it.
pub fn of_our_own() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)
        .context("can't have mounts of the lab's own; run it as root")?;
    let to_us_only = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", to_us_only).context("can't keep the lab's mounts from others")
}
