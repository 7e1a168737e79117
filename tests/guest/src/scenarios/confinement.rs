// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window works in every sandbox, and with a QEMU of another user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Result, bail, ensure};
use guest_probe::access::How;
use guest_probe::file::{self, Part};
use guest_probe::pattern::Seed;
use guest_vm::Parts;
use qemu_guest::fetch::{Qemu, QemuSpec};
use qemu_guest::process::{Sandbox, Share};
use tempfile::TempDir;

use crate::lab::{Boot, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const SIZE: u64 = (5 << 20) + 1;
/// Debian's group for what needs none.
const GROUP_OF_NOBODY: &str = "nogroup";

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

/// As libvirt does it: QEMU gives up being root before the guest runs.
async fn another_user_s_qemu(host: &Host) -> Result<()> {
    let boot = Boot::with(plan(Sandbox::Namespace)?).spec(|mut spec| {
        spec.extra
            .extend(["-run-with".into(), "user=nobody".into()]);
        spec
    });
    window_works(host.boot(boot).await?).await
}

/// A QEMU that never was root can connect as a member of the socket's group.
async fn a_qemu_of_the_socket_s_group(host: &Host) -> Result<()> {
    let (_dir, parts) = unprivileged_qemu(host)?;
    let plan = plan(Sandbox::Namespace)?.daemon_args(&["--socket-group", GROUP_OF_NOBODY]);
    window_works(Lab::start_with(host, &parts, Boot::with(plan)).await?).await
}

/// The test above can fail: it is the group that lets QEMU connect.
async fn a_qemu_without_the_socket_s_group(host: &Host) -> Result<()> {
    let (_dir, parts) = unprivileged_qemu(host)?;
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

/// The host's parts with a QEMU that runs as nobody. What it may do beyond that is to find its
/// own files and sockets where the tests have them, in folders that are root's.
fn unprivileged_qemu(host: &Host) -> Result<(TempDir, Parts)> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("qemu");
    let line = host.parts.qemu_line();
    fs::write(
        &path,
        format!(
            r#"#!/bin/sh
for arg; do
    case $arg in
        *path=*/qmp.sock*) dir=${{arg#*path=}} dir=${{dir%%/qmp.sock*}} ;;
    esac
done
if [ "${{dir:-}}" ]; then
    chgrp {GROUP_OF_NOBODY} "$dir" "$dir/qmp.sock"
    chmod g+rwx "$dir" "$dir/qmp.sock"
fi
# The last one lets access(2) heed the capability, too.
exec setpriv --reuid nobody --regid {GROUP_OF_NOBODY} --clear-groups \
    --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search \
    --bounding-set -all,+dac_read_search --securebits +no_setuid_fixup \
    {line} "$@"
"#
        ),
    )?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    let qemu = Qemu::obtain(&QemuSpec::Path(path), &host.parts.cache)?;
    let parts = Parts {
        qemu,
        ..host.parts.clone()
    };
    Ok((dir, parts))
}

fn plan(sandbox: Sandbox) -> Result<Plan> {
    let plan = Plan::new("confined")?.set(|share| Share { sandbox, ..share });
    plan.content(|dir| file::fill(&dir.join("file"), Part::first(SIZE), Seed(5), How::Syscall))
}

async fn window_works(lab: Lab<'_>) -> Result<()> {
    let (path, len) = (lab.first().in_guest("file"), SIZE.to_string());
    lab.probe(&["dax", &path]).await?;
    for (command, seed) in [("verify", "5"), ("fill", "6")] {
        lab.probe(&[
            command, &path, "--len", &len, "--seed", seed, "--how", "mmap",
        ])
        .await?;
    }
    let seen = file::verify(
        &lab.first().on_host("file"),
        Part::first(SIZE),
        Seed(6),
        How::Mmap,
    )?;
    seen.map_err(|mismatch| anyhow::anyhow!("on the host: {mismatch}"))?;
    lab.end().await
}
