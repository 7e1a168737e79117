// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The checks detect a daemon that lacks one of its safeguards, and pass with the safeguard.

use std::fs::File;

use anyhow::{Result, bail, ensure};
use guest_agent::access::{How, Sweep, Swept};
use qemu_guest::vm::WindowKind;

use super::data;
use crate::lab::{Boot, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const RANGE: u64 = 2 << 20;

pub const GROUP: Group = Group {
    name: "faults",
    tests: Tests::Alone(tests![Alone: direct_views_are_caught]),
};

/// QEMU gets the files themselves in place of views. It grows empty files, and refuses files whose
/// size is no multiple of 2 MiB.
async fn direct_views_are_caught(host: &Host) -> Result<()> {
    host.only_with(WindowKind::Regions).await?;
    let lab = without_views(host).await?;
    let grown = data::mapping_does_not_grow_a_file_that_was_emptied(&lab).await;
    failed(grown, "the emptied file has 4194304 bytes")?;
    let read = data::host_files_read_the_same(&lab).await;
    failed(read, "verify /mnt/data/host-1 by ")?;
    for how in [How::Mmap, How::Syscall] {
        let swept = sweep(&lab, "odd", 4097, how).await?;
        let why = swept.first.as_ref().map_or("", |(_, why)| why.as_str());
        let told = match how {
            How::Mmap => "signal-7",
            _ => "os error 5",
        };
        ensure!(why.contains(told), "{swept}");
        let swept = sweep(&lab, "even", RANGE, how).await?;
        ensure!(swept.failed == 0, "{swept}");
    }
    lab.end().await
}

/// If a window is one memory region, QEMU does neither.
pub async fn direct_views_are_right(host: &Host) -> Result<()> {
    let lab = without_views(host).await?;
    data::mapping_does_not_grow_a_file_that_was_emptied(&lab).await?;
    data::host_files_read_the_same(&lab).await?;
    for how in [How::Mmap, How::Syscall] {
        for (name, size) in [("odd", 4097), ("even", RANGE)] {
            let swept = sweep(&lab, name, size, how).await?;
            ensure!(swept.failed == 0, "{name} by {how:?}: {swept}");
        }
    }
    lab.end().await
}

async fn without_views(host: &Host) -> Result<Lab<'_>> {
    // With the daemon's own policy the guest would read through FUSE after the first refusal.
    let plan = Plan::new("data")?
        .daemon_args(&["--fault", "views=direct"])
        .mount_options("dax=always");
    host.boot(Boot::with(plan)).await
}

/// Has the guest touch each page of a new file.
async fn sweep(lab: &Lab<'_>, name: &str, size: u64, how: How) -> Result<Swept> {
    File::create(lab.first().on_host(name))?.set_len(size)?;
    let path = lab.first().in_guest(name).into();
    lab.op(Sweep { path, how }).await
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
