// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Everyday work in a folder that a guest uses. Each act runs with a window and without one, while
//! the other side reads. It has to end with equal bytes on both sides and a living VM.

mod act;
mod acts;
mod programs;
mod reader;
mod tools;
mod tree;

use act::{Act, Place};
use anyhow::Result;
use futures::future::try_join_all;
use qemu_guest::vm::process::Share;
use qemu_guest::vm::{Vm, VmSpec};

use crate::lab::{Boot, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

pub use programs::GROUP as PROGRAMS;

/// The share with a window, and the one without.
const SHARES: [&str; 2] = ["window", "plain"];
/// Programs of the host that the guest runs.
const TOOLS: &str = "tools";

pub const GROUP: Group = Group {
    name: "everyday",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario:
            the_host_copies_over_a_file,
            the_host_clones_checks_out_and_rebases,
            the_host_rotates_a_log_by_copytruncate,
            the_host_syncs_in_place_and_by_rename,
            the_host_edits_in_place_and_by_rename,
            the_host_writes_over_a_disk_image,
            the_host_has_a_database_in_wal_mode,
            the_guest_copies_edits_and_writes_over,
            the_guest_has_a_database_in_wal_mode,
            the_guest_syncs_in_place_and_by_rename,
        ],
    },
};

pub const TWO_GUESTS: Group = Group {
    name: "two_guests",
    tests: Tests::Alone(tests![Alone: one_writes_while_the_other_reads]),
};

fn plan(tag: &str) -> Result<Plan> {
    let without_window = |share| Share {
        window: None,
        ..share
    };
    let plan = Plan::new(tag)?;
    Ok(match tag {
        "window" => plan,
        _ => plan.set(without_window),
    })
}

fn boot() -> Result<Boot> {
    let tools = plan(TOOLS)?.content(|dir| tools::gather(dir, &["sqlite3", "rsync"]))?;
    Ok(Boot::with(plan("window")?).and(plan("plain")?).and(tools))
}

/// Runs `act` in both shares at once. `others` are further guests with the same shares.
async fn play(lab: &Lab<'_>, others: &[&Vm], act: &Act) -> Result<()> {
    let places = SHARES.map(|tag| {
        let share = lab.share(tag);
        let others = others.iter().map(|vm| vm.agent());
        Place {
            name: tag,
            agents: [lab.agent()].into_iter().chain(others).collect(),
            on_host: share.on_host(act.name),
            in_guest: share.in_guest(act.name),
        }
    });
    try_join_all(places.iter().map(|place| act.play(place))).await?;
    Ok(())
}

async fn the_host_copies_over_a_file(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::HOST_COPIES).await
}

async fn the_host_clones_checks_out_and_rebases(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::HOST_GIT).await
}

async fn the_host_rotates_a_log_by_copytruncate(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::HOST_LOGROTATE).await
}

async fn the_host_syncs_in_place_and_by_rename(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::HOST_RSYNC).await
}

async fn the_host_edits_in_place_and_by_rename(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::HOST_EDITOR).await
}

async fn the_host_writes_over_a_disk_image(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::HOST_DD).await
}

async fn the_host_has_a_database_in_wal_mode(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::HOST_SQLITE).await
}

async fn the_guest_copies_edits_and_writes_over(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::GUEST_FILES).await
}

async fn the_guest_has_a_database_in_wal_mode(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::GUEST_SQLITE).await
}

async fn the_guest_syncs_in_place_and_by_rename(lab: &Lab<'_>) -> Result<()> {
    play(lab, &[], &acts::GUEST_RSYNC).await
}

/// Two virtual machines have the same folders: the first acts, the second and the host read.
async fn one_writes_while_the_other_reads(host: &Host) -> Result<()> {
    let first = host
        .boot(Boot::with(plan("window")?).and(plan("plain")?))
        .await?;
    let shares = first.shares().iter();
    let spec = shares.fold(VmSpec::default(), |spec, share| {
        spec.share(share.settings.clone())
    });
    let second = Vm::boot(&host.parts, spec).await?;
    for share in first.shares() {
        second.mount(&share.tag, &share.mount_point(), "").await?;
    }
    play(&first, &[&second], &acts::GUEST_FILES).await?;
    second.power_off().await?;
    first.end().await
}
