// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Nothing in the guest can change a read-only share, so it gets no window.

use std::fs;

use anyhow::{Result, ensure};
use guest_probe::access::How;
use guest_probe::file::{self, Part};
use guest_probe::pattern::Seed;
use qemu_guest::process::Share;

use crate::lab::{Boot, Lab, Plan, Snapshot};
use crate::scenario::{Group, Tests};
use crate::tests;

const SIZE: u64 = (3 << 20) + 5;

pub const GROUP: Group = Group {
    name: "read_only",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario: reads_work, there_is_no_window, nothing_can_be_changed],
    },
};

fn boot() -> Result<Boot> {
    let plan = Plan::new("ro")?
        .set(|share| Share {
            read_only: true,
            ..share
        })
        .daemon_args(&["--xattr"])
        .content(|dir| {
            fs::create_dir(dir.join("folder"))?;
            fs::write(dir.join("empty"), "")?;
            file::fill(&dir.join("file"), Part::first(SIZE), Seed(6), How::Syscall)
        })?;
    Ok(Boot::with(plan))
}

async fn reads_work(lab: &Lab<'_>) -> Result<()> {
    let (path, len) = (lab.first().in_guest("file"), SIZE.to_string());
    for how in ["syscall", "mmap"] {
        lab.probe(&["verify", &path, "--len", &len, "--seed", "6", "--how", how])
            .await?;
    }
    Ok(())
}

async fn there_is_no_window(lab: &Lab<'_>) -> Result<()> {
    lab.probe_fails(&["dax", &lab.first().in_guest("file")])
        .await?;
    let log = lab.sh("dmesg | grep -i 'cache len' || true").await?;
    ensure!(log.is_empty(), "the guest has a window: {log}");
    let share = lab.first();
    lab.agent().umount(&share.mount_point()).await?;
    // Asked for it, the guest gets a mount without DAX or none at all.
    let mount = format!(
        "mount -t virtiofs -o dax=always {} {}",
        share.tag,
        share.mount_point()
    );
    let mounted = lab.sh(&format!("{mount} && echo yes || echo no")).await?;
    if mounted.ends_with("yes") {
        lab.probe_fails(&["dax", &share.in_guest("file")]).await?;
        lab.agent().umount(&share.mount_point()).await?;
    }
    lab.mount(share).await
}

async fn nothing_can_be_changed(lab: &Lab<'_>) -> Result<()> {
    let share = lab.first();
    let before = Snapshot::of(&share.on_host(""))?;
    let modify = ["modify", &share.mount_point(), "file", "empty"];
    let said = lab.probe(&modify).await?;
    ensure!(
        said.contains("open-write: "),
        "the probe tried nothing: {said}"
    );
    lab.sh("sync").await?;
    before.expect_same(&Snapshot::of(&share.on_host(""))?)
}
