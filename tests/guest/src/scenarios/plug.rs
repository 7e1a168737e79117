// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A share is plugged into a running guest (QMP device_add) and unplugged (device_del), at a port that
//! has room for its window.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::process::{Daemon, RunDir, Share};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::lab::{Boot, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// The file that is mapped.
const PART: Part = Part {
    offset: 0,
    len: 8 * MIB,
};
/// How long a guest may take to find a device, or to give it back.
const PLUG_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks at the guest.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const TAG: &str = "plugged";

pub const GROUP: Group = Group {
    name: "plug",
    tests: Tests::Alone(tests![Alone:
        in_good_order,
        out_with_files_mapped,
    ]),
};

/// A guest with a free port.
async fn start(host: &Host) -> Result<Lab<'_>> {
    let boot = Boot::with(Plan::new("fixed")?).spec(|mut spec| {
        let port = "pcie-root-port,id=hot,chassis=9,pref64-reserve=1G";
        spec.extra.extend(["-device".into(), port.into()]);
        // The firmware puts the port's room where QEMU's memory map has a hole for AMD's processors,
        // which TCG's processor claims to be. Linux uses no such room by itself.
        spec.append.push("pci=no_e820".to_owned());
        spec
    });
    // The small kernel has no hotplug.
    host.boot(boot.debian()).await
}

/// A daemon with its share, which is in the guest.
struct Plugged {
    daemon: Daemon,
    share: TempDir,
    _run: RunDir,
}

impl Plugged {
    async fn plug(host: &Host, lab: &Lab<'_>) -> Result<Self> {
        let (share, run) = (tempfile::tempdir()?, RunDir::create()?);
        access::fill(&share.path().join("file"), PART, Seed(1), How::Syscall)?;
        let settings = Share::new(share.path(), TAG.parse()?).with_window(ByteSize::mib(256));
        let (socket, log) = (run.join("fs.sock"), run.join("daemon.log"));
        let daemon = Daemon::start(&host.parts.daemon, &settings, &socket, &log).await?;
        let mut qmp = lab.vm().guest().qmp().await;
        let path = json!({ "type": "unix", "data": { "path": socket } });
        let backend = json!({ "type": "socket", "data": { "addr": path, "server": false } });
        let chardev = json!({ "id": TAG, "backend": backend });
        qmp.execute("chardev-add", chardev).await?;
        let device = json!({
            "driver": "vhost-user-test-device-pci", "id": TAG, "chardev": TAG, "bus": "hot",
            "virtio-id": 26, "num_vqs": 2, "vq_size": 1024, "config_size": 44,
        });
        qmp.execute("device_add", device).await?;
        drop(qmp);
        let begun = Instant::now();
        let mount = format!("mkdir -p /mnt/{TAG} && mount -t virtiofs {TAG} /mnt/{TAG}");
        while let Err(error) = lab.sh(&mount).await {
            let waited = begun.elapsed();
            ensure!(waited < PLUG_DEADLINE, "in {waited:?}: {error:#}");
            sleep(LOOK_AGAIN).await;
        }
        let file = format!("/mnt/{TAG}/file");
        if let Err(error) = lab.expect_dax(&file).await {
            let kernel = lab.sh("dmesg | grep -i 'pci\\|virtio' | tail -60").await?;
            let daemon = fs::read_to_string(daemon.log())?;
            return Err(error.context(format!(
                "the guest's log:\n{kernel}\nthe daemon's:\n{daemon}"
            )));
        }
        lab.verify(&file, PART, Seed(1), How::Mmap).await?;
        Ok(Self {
            daemon,
            share,
            _run: run,
        })
    }

    /// Asks the guest for the device, and waits until it is gone.
    async fn unplug(lab: &Lab<'_>) -> Result<()> {
        let mut qmp = lab.vm().guest().qmp().await;
        qmp.execute("device_del", json!({ "id": TAG })).await?;
        loop {
            let event = qmp.event("DEVICE_DELETED", PLUG_DEADLINE).await?;
            if event["device"] == TAG {
                break;
            }
        }
        qmp.execute("chardev-remove", json!({ "id": TAG })).await?;
        Ok(())
    }
}

/// The share is unmounted first. The daemon ends with its device, and another one can come.
async fn in_good_order(host: &Host) -> Result<()> {
    let lab = start(host).await?;
    for _ in 0..2 {
        let plugged = Plugged::plug(host, &lab).await?;
        lab.sh(&format!("echo guest > /mnt/{TAG}/new; umount /mnt/{TAG}"))
            .await?;
        Plugged::unplug(&lab).await?;
        plugged.daemon.stop().await?;
        ensure!(fs::read(plugged.share.path().join("new"))? == b"guest\n");
        lab.sh("echo alive").await?;
    }
    lab.end().await
}

/// QEMU takes a window out with all that is mapped there, and the daemon ends. Programs of the guest
/// get errors. But Linux 6.12 has dropped what described the window's memory, and its umount looks
/// there: the program is killed by an Oops.
async fn out_with_files_mapped(host: &Host) -> Result<()> {
    let lab = start(host).await?;
    let plugged = Plugged::plug(host, &lab).await?;
    Plugged::unplug(&lab).await?;
    plugged.daemon.stop().await?;
    let said = lab.sh(&format!("ls /mnt/{TAG}/new 2>&1 || true")).await?;
    ensure!(said.contains("not connected"), "ls said {said:?}");
    let unmounted = lab.sh(&format!("umount /mnt/{TAG}")).await;
    ensure!(unmounted.is_err(), "Linux is mended: say so in limits.md");
    let kernel = fs::read(lab.vm().guest().console())?;
    let kernel = String::from_utf8_lossy(&kernel);
    ensure!(kernel.contains("dax_disassociate_entry"), "{kernel}");
    let (vm, _) = lab.into_vm();
    vm.quit().await
}
