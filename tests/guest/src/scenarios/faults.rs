// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The checks detect a daemon that lacks one of its safeguards, and pass with the safeguard.

use std::fs::File;

use anyhow::{Result, bail, ensure};
use guest_agent::access::{How, Sweep};

use super::data;
use crate::lab::{Boot, Host, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const RANGE: u64 = 2 << 20;

pub const GROUP: Group = Group {
    name: "faults",
    tests: Tests::Alone(tests![Alone: direct_views_are_caught]),
};

/// QEMU gets the files themselves in place of views. It grows empty files, and refuses files whose
/// size is no multiple of 2 MiB. If a window is one memory region QEMU does neither, and the checks
/// pass.
async fn direct_views_are_caught(host: &Host) -> Result<()> {
    // With the daemon's own policy the guest would read through FUSE after the first refusal.
    let plan = Plan::new("data")?
        .daemon_args(&["--fault", "views=direct"])
        .mount_options("dax=always");
    let lab = host.boot(Boot::with(plan)).await?;
    let one_region = host.has_one_region().await?;
    let grown = data::mapping_does_not_grow_a_file_that_was_emptied(&lab).await;
    let read = data::host_files_read_the_same(&lab).await;
    if one_region {
        grown?;
        read?;
    } else {
        failed(grown, "the emptied file has 4194304 bytes")?;
        failed(read, "verify /mnt/data/host-1 by ")?;
    }

    for (name, size, mapped) in [("odd", 4097, false), ("even", RANGE, true)] {
        File::create(lab.first().on_host(name))?.set_len(size)?;
        for (how, told) in [(How::Mmap, "signal-7"), (How::Syscall, "os error 5")] {
            let path = lab.first().in_guest(name).into();
            let swept = lab.op(Sweep { path, how }).await?;
            let why = swept.first.as_ref().map_or("", |(_, why)| why.as_str());
            let right = match mapped || one_region {
                true => swept.failed == 0,
                false => why.contains(told),
            };
            ensure!(right, "{name} by {how:?}: {swept}");
        }
    }
    lab.end().await
}

/// Fails unless the check has failed, and for this reason.
fn failed(outcome: Result<()>, reason: &str) -> Result<()> {
    let Err(error) = outcome else {
        bail!("a check passed that should have failed with {reason:?}");
    };
    let said = format!("{error:#}");
    ensure!(said.contains(reason), "the check failed otherwise: {said}");
    Ok(())
}
