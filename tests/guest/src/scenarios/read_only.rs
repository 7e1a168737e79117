// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest can't change a read-only share. So such a share uses a window only if QEMU keeps the
//! guest's stores out of it.

use std::fs;

use anyhow::{Result, ensure};
use guest_agent::access::{self, How, Modify, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::WindowKind;
use qemu_guest::vm::process::Share;

use crate::lab::{Boot, Lab, Plan, Snapshot};
use crate::scenario::{Group, Tests};
use crate::tests;

const SIZE: u64 = (3 << 20) + 5;

pub const GROUP: Group = Group {
    name: "read_only",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario:
            reads_work,
            the_window_is_used_where_stores_are_kept_out,
            no_window_is_used_where_stores_would_arrive,
            nothing_can_be_changed,
        ],
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
            access::fill(&dir.join("file"), Part::first(SIZE), Seed(6), How::Syscall)
        })?;
    Ok(Boot::with(plan))
}

async fn reads_work(lab: &Lab<'_>) -> Result<()> {
    let path = lab.first().in_guest("file");
    for how in [How::Syscall, How::Mmap] {
        lab.verify(&path, Part::first(SIZE), Seed(6), how).await?;
    }
    Ok(())
}

async fn the_window_is_used_where_stores_are_kept_out(lab: &Lab<'_>) -> Result<()> {
    lab.host().only_with(WindowKind::OneRegion).await?;
    lab.expect_dax(&lab.first().in_guest("file")).await?;
    reads_work(lab).await?;
    ensure!(lab.mapped_ranges()? > 0, "QEMU has nothing mapped");
    Ok(())
}

/// QEMU 11.1 would let the guest store to the window. So the configured window exists, but is not
/// used.
async fn no_window_is_used_where_stores_would_arrive(lab: &Lab<'_>) -> Result<()> {
    lab.host().only_with(WindowKind::Regions).await?;
    let file = lab.first().in_guest("file");
    ensure!(!lab.uses_dax(&file).await?, "{file} is in DAX mode");
    let log = fs::read_to_string(lab.vm().daemons()[0].log())?;
    ensure!(log.contains("no DAX: the share is read-only"), "{log}");
    Ok(())
}

async fn nothing_can_be_changed(lab: &Lab<'_>) -> Result<()> {
    let share = lab.first();
    let before = Snapshot::of(&share.on_host(""))?;
    let modify = Modify {
        dir: share.mount_point().into(),
        file: "file".into(),
        other: "empty".into(),
    };
    let tried = lab.op(modify).await?;
    ensure!(
        !tried.is_empty() && tried.iter().all(|(_, error)| error.is_some()),
        "something was changed: {tried:?}"
    );
    lab.sh("sync").await?;
    before.expect_same(&Snapshot::of(&share.on_host(""))?)
}
