// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window works in every sandbox, and with a QEMU of another user.

use anyhow::{Result, bail, ensure};
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::process::{Sandbox, Share};

use crate::lab::{Boot, Host, Lab, Plan, unprivileged};
use crate::scenario::{Group, Tests};
use crate::tests;

const SIZE: u64 = (5 << 20) + 1;

pub const GROUP: Group = Group {
    name: "confinement",
    tests: Tests::Alone(tests![Alone:
        chroot,
        no_sandbox,
        another_user_s_qemu,
        a_qemu_of_the_socket_s_group,
        a_qemu_without_the_socket_s_group,
    ]),
};

async fn chroot(host: &Host) -> Result<()> {
    window_works(host.boot(Boot::with(plan(Sandbox::Chroot)?)).await?).await
}

async fn no_sandbox(host: &Host) -> Result<()> {
    window_works(host.boot(Boot::with(plan(Sandbox::None)?)).await?).await
}

/// As libvirt does it: QEMU drops its root privileges before the guest runs.
async fn another_user_s_qemu(host: &Host) -> Result<()> {
    let boot = Boot::with(plan(Sandbox::Namespace)?).spec(|mut spec| {
        spec.extra
            .extend(["-run-with".into(), "user=nobody".into()]);
        spec
    });
    window_works(host.boot(boot).await?).await
}

/// A QEMU that never had root privileges can connect as a member of the socket's group.
async fn a_qemu_of_the_socket_s_group(host: &Host) -> Result<()> {
    let (_dir, parts) = unprivileged::qemu(host)?;
    let plan = plan(Sandbox::Namespace)?.daemon_args(&["--socket-group", unprivileged::GROUP]);
    window_works(Lab::start_with(host, &parts, Boot::with(plan)).await?).await
}

/// The test above can fail: without the group QEMU can't connect.
async fn a_qemu_without_the_socket_s_group(host: &Host) -> Result<()> {
    let (_dir, parts) = unprivileged::qemu(host)?;
    let boot = Boot::with(plan(Sandbox::Namespace)?);
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

fn plan(sandbox: Sandbox) -> Result<Plan> {
    let plan = Plan::new("confined")?.set(|share| Share { sandbox, ..share });
    plan.content(|dir| access::fill(&dir.join("file"), Part::first(SIZE), Seed(5), How::Syscall))
}

async fn window_works(lab: Lab<'_>) -> Result<()> {
    let (path, part) = (lab.first().in_guest("file"), Part::first(SIZE));
    lab.expect_dax(&path).await?;
    lab.verify(&path, part, Seed(5), How::Mmap).await?;
    lab.fill(&path, part, Seed(6), How::Mmap).await?;
    let seen = access::verify(
        &lab.first().on_host("file"),
        Part::first(SIZE),
        Seed(6),
        How::Mmap,
    )?;
    seen.map_err(|mismatch| anyhow::anyhow!("on the host: {mismatch}"))?;
    lab.end().await
}
