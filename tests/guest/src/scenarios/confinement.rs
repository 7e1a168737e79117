// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window works in every sandbox, and with a QEMU of another user.

use anyhow::{Result, anyhow, bail, ensure};
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::process::{Sandbox, Share};

use crate::lab::{Boot, Host, Lab, Plan, Shared, unprivileged};
use crate::scenario::{Group, Tests};
use crate::tests;

const SIZE: u64 = (5 << 20) + 1;

pub const GROUP: Group = Group {
    name: "confinement",
    tests: Tests::Together {
        boot,
        scenarios: tests![Scenario: chroot, no_sandbox],
    },
};

pub const OTHER_USERS: Group = Group {
    name: "confinement",
    tests: Tests::Alone(tests![Alone:
        another_user_s_qemu,
        a_qemu_of_the_socket_s_group,
        a_qemu_without_the_socket_s_group,
    ]),
};

fn boot() -> Result<Boot> {
    let shares = Boot::with(plan("chroot", Sandbox::Chroot)?);
    Ok(shares.and(plan("none", Sandbox::None)?))
}

async fn chroot(lab: &Lab<'_>) -> Result<()> {
    window_works(lab, lab.share("chroot")).await
}

async fn no_sandbox(lab: &Lab<'_>) -> Result<()> {
    window_works(lab, lab.share("none")).await
}

/// As libvirt does it: QEMU drops its root privileges before the guest runs.
async fn another_user_s_qemu(host: &Host) -> Result<()> {
    let boot = Boot::with(default_plan()?).spec(|mut spec| {
        spec.extra
            .extend(["-run-with".into(), "user=nobody".into()]);
        spec
    });
    to_its_end(host.boot(boot).await?).await
}

/// A QEMU that never had root privileges can connect as a member of the socket's group.
async fn a_qemu_of_the_socket_s_group(host: &Host) -> Result<()> {
    let (_dir, parts) = unprivileged::qemu(host)?;
    let plan = default_plan()?.daemon_args(&["--socket-group", unprivileged::GROUP]);
    to_its_end(Lab::start_with(host, &parts, Boot::with(plan)).await?).await
}

/// The test above can fail: without the group QEMU can't connect.
async fn a_qemu_without_the_socket_s_group(host: &Host) -> Result<()> {
    let (_dir, parts) = unprivileged::qemu(host)?;
    let boot = Boot::with(default_plan()?);
    let Err(error) = Lab::start_with(host, &parts, boot).await else {
        bail!("QEMU has connected to a socket that is root's alone");
    };
    let said = format!("{error:#}");
    ensure!(
        said.contains("Permission denied"),
        "QEMU ended with: {said}"
    );
    Ok(())
}

fn default_plan() -> Result<Plan> {
    plan("confined", Sandbox::Namespace)
}

fn plan(tag: &str, sandbox: Sandbox) -> Result<Plan> {
    let plan = Plan::new(tag)?.set(|share| Share { sandbox, ..share });
    plan.content(|dir| access::fill(&dir.join("file"), Part::first(SIZE), Seed(5), How::Syscall))
}

async fn to_its_end(lab: Lab<'_>) -> Result<()> {
    window_works(&lab, lab.first()).await?;
    lab.end().await
}

async fn window_works(lab: &Lab<'_>, share: &Shared) -> Result<()> {
    let (path, part) = (share.in_guest("file"), Part::first(SIZE));
    lab.expect_dax(&path).await?;
    lab.verify(&path, part, Seed(5), How::Mmap).await?;
    lab.fill(&path, part, Seed(6), How::Mmap).await?;
    let seen = access::verify(&share.on_host("file"), part, Seed(6), How::Mmap)?;
    seen.map_err(|mismatch| anyhow!("on the host: {mismatch}"))
}
