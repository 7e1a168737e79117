// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `--net user`: QEMU's network in user space. Its addresses are fixed, so the guest needs no DHCP
//! client.

use std::ffi::OsString;

use anyhow::{Context, Result};
use qemu_guest::vm::Vm;

/// The device's module.
pub const MODULE: &str = "virtio_net";
/// Sets the only network card up, with the addresses that QEMU gives (its manual, "-netdev user").
const SET_UP: &str = "set -e
    card=$(ls /sys/class/net | grep -v '^lo$')
    ip link set lo up
    ip addr add 10.0.2.15/24 dev $card
    ip link set $card up
    ip route add default via 10.0.2.2";
/// The name server that QEMU puts in for the host's.
const RESOLVER: &[u8] = b"nameserver 10.0.2.3\n";

/// QEMU's arguments.
pub fn devices() -> Vec<OsString> {
    [
        "-netdev",
        "user,id=net",
        "-device",
        "virtio-net-pci,netdev=net",
    ]
    .map(Into::into)
    .to_vec()
}

/// Sets the guest's network up; `base` is where its root is.
///
/// # Errors
///
/// If the guest can't.
pub async fn set_up(vm: &Vm, base: &str) -> Result<()> {
    let agent = vm.agent();
    let done = agent.check(["sh", "-c", SET_UP]).await;
    done.context("the guest's network can't be set up")?;
    // The host's file may be a link to a file that the guest doesn't have.
    let path = format!("{base}/etc/resolv.conf");
    let folder = format!("{base}/etc");
    agent.check(["mkdir", "-p", &folder]).await?;
    agent.check(["rm", "-f", &path]).await?;
    Ok(agent.write_file(&path, 0o644, RESOLVER).await?)
}
