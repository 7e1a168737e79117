// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon is killed, and another one replaces it while the guest runs. That requires a QEMU that
//! reconnects.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use qemu_guest::vm::WindowKind;
use qemu_guest::vm::process::Share;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use crate::lab::{Boot, Held, Host, Lab, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// Between two looks at a condition that nothing announces.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How long QEMU may take to end after the guest's poweroff.
const POWER_OFF: Duration = Duration::from_secs(60);
/// Eight bytes of a window in which nothing is mapped.
const ZEROS: [u8; 8] = [0; 8];
/// Stock QEMU's message about a chardev that reconnects.
const STOCK: &str = "vhost_backend_init failed";
/// Errors in the guest's programs: for nodes that the new daemon doesn't know, and for requests
/// that the old daemon had begun.
const ENDS: [&str; 2] = ["Stale file handle", "I/O error"];

pub const GROUP: Group = Group {
    name: "restart",
    tests: Tests::Alone(tests![Alone:
        a_daemon_killed_at_work,
        a_power_off_with_a_new_daemon,
        stock_qemu_does_not_start,
        a_daemon_killed_for_good,
    ]),
};

/// All of the file.
const PART: Part = Part {
    offset: 0,
    len: 8 * MIB,
};

fn plan() -> Result<Plan> {
    let fill = |file: &Path| access::fill(file, PART, Seed(1), How::Syscall);
    let plan = Plan::new("restart")?.set(|share| Share {
        reconnects: true,
        ..share
    });
    plan.content(|dir| fill(&dir.join("file")))
}

/// A guest with a mapped file.
async fn start(host: &Host) -> Result<Lab<'_>> {
    host.only_with(WindowKind::OneRegion).await?;
    let lab = host.boot(Boot::with(plan()?)).await?;
    verify(&lab).await?;
    Ok(lab)
}

/// The tests above can be played with a QEMU that starts: then it waits for the daemon.
async fn stock_qemu_does_not_start(host: &Host) -> Result<()> {
    host.only_with(WindowKind::Regions).await?;
    let Err(error) = host.boot(Boot::with(plan()?)).await else {
        bail!("a stock QEMU waits for the daemon: these tests can be played with it")
    };
    let said = format!("{error:#}");
    ensure!(said.contains(STOCK), "QEMU ended with: {said}");
    Ok(())
}

/// Stock QEMU goes on without a daemon for ever. What is mapped stays, and stores reach the host.
/// Requests and sync(2) wait, whatever a signal says, and umount -f gives up nothing that is open. The
/// guest can be powered off by force.
async fn a_daemon_killed_for_good(host: &Host) -> Result<()> {
    host.only_with(WindowKind::Regions).await?;
    let plan = plan()?.set(|share| Share {
        reconnects: false,
        ..share
    });
    let lab = host.boot(Boot::with(plan)).await?;
    verify(&lab).await?;
    let mut held = Held::new(&lab, "file", true).await?;
    held.store(0, b"a store?").await?;
    kill_daemon(&lab)?;
    let (share, asked) = (
        lab.first().mount_point(),
        lab.first().in_guest("no-such-file"),
    );
    for (name, line) in [
        ("stat", format!("stat {asked}")),
        ("write", format!("touch {asked}")),
        ("sync", "sync".to_owned()),
    ] {
        lab.sh(&format!(
            "(timeout -s KILL 1 {line}; echo > /tmp/{name}.end) >/dev/null 2>&1 &"
        ))
        .await?;
    }
    held.store(0, b"a store!").await?;
    let said = lab.sh(&format!("umount -f {share} 2>&1 || true")).await?;
    ensure!(said.contains("busy"), "umount said {said:?}");
    // There is no event to wait for: Linux waits for an answer, and no signal interrupts the wait.
    sleep(Duration::from_secs(3)).await;
    let ended = lab.sh("ls /tmp/*.end 2>/dev/null || true").await?;
    ensure!(ended.is_empty(), "ended without a daemon: {ended}");
    held.expect(0, b"a store!").await?;
    let on_host = fs::read(lab.first().on_host("file"))?;
    ensure!(on_host.starts_with(b"a store!"), "the store is lost");
    lab.sh("(sleep 0.2; poweroff -n -f) >/dev/null 2>&1 &")
        .await?;
    let gone = timeout(POWER_OFF, lab.vm().guest().gone()).await;
    Ok(gone.with_context(|| format!("QEMU has lived on for {POWER_OFF:?}"))??)
}

async fn verify(lab: &Lab<'_>) -> Result<()> {
    let path = lab.first().in_guest("file");
    lab.expect_dax(&path).await?;
    lab.verify(&path, PART, Seed(1), How::Mmap).await
}

/// Ends each process of the share's daemon, as if the host had run out of memory for all of them.
fn kill_daemon(lab: &Lab<'_>) -> Result<()> {
    let dir = lab.first().on_host("");
    let wanted = format!(
        "--shared-dir\0{}\0",
        dir.display().to_string().trim_end_matches('/')
    );
    let mut killed = 0;
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        if !String::from_utf8_lossy(&line).contains(&wanted) {
            continue;
        }
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(pid) = name.and_then(|name| Pid::from_raw(name.parse().ok()?)) {
            // A process that ended together with an earlier one is gone.
            killed += usize::from(kill_process(pid, Signal::KILL).is_ok());
        }
    }
    ensure!(killed > 0, "no process has the arguments {wanted:?}");
    Ok(())
}

/// Repeats a shell command line until it fails. The error message is then in /tmp/NAME.end.
async fn begin_loop(lab: &Lab<'_>, name: &str, line: &str) -> Result<()> {
    lab.sh(&format!(
        "cd /; (while {line}; do :; done >/dev/null 2>/tmp/{name}; mv /tmp/{name} /tmp/{name}.end) \
         >/dev/null 2>&1 &"
    ))
    .await?;
    Ok(())
}

/// Waits for the loop's end. It must be one of the errors that a new daemon causes.
async fn expect_end(lab: &Lab<'_>, name: &str) -> Result<()> {
    let wait = format!("while [ ! -e /tmp/{name}.end ]; do sleep 0.1; done; cat /tmp/{name}.end");
    let said = lab.sh(&wait).await.with_context(|| name.to_owned())?;
    let as_expected = ENDS.iter().any(|end| said.contains(end));
    ensure!(as_expected, "{name} ended with {said:?}");
    Ok(())
}

/// Requests are in flight when the daemon is killed. Without a daemon all requests to the share
/// wait. With a new daemon they fail. After umount and mount the share works again.
async fn a_daemon_killed_at_work(host: &Host) -> Result<()> {
    let mut lab = start(host).await?;
    let mut held = Held::new(&lab, "file", false).await?;
    let mapped = held.read(0, 8).await?;
    ensure!(mapped != ZEROS, "nothing is mapped");
    let out = lab.first().in_guest("out");
    let write = format!("dd if=/dev/zero of={out} bs=64k count=16 conv=fsync");
    begin_loop(&lab, "dd", &write).await?;
    let find = format!("find {}", lab.first().mount_point());
    begin_loop(&lab, "find", &find).await?;
    kill_daemon(&lab)?;
    while held.read(0, 8).await? != ZEROS {
        sleep(LOOK_AGAIN).await;
    }
    let asked = lab.first().in_guest("no-such-file");
    lab.sh(&format!(
        "(timeout -s KILL 1 stat {asked}; echo > /tmp/stat.end) >/dev/null 2>&1 &"
    ))
    .await?;
    // There is no event to wait for: Linux waits for an answer, and no signal interrupts the wait.
    sleep(Duration::from_secs(3)).await;
    let ended = lab.sh("ls /tmp/*.end 2>/dev/null || true").await?;
    ensure!(ended.is_empty(), "ended without a daemon: {ended}");

    lab.start_daemon_again().await?;
    for name in ["dd", "find"] {
        expect_end(&lab, name).await?;
    }
    lab.sh("while [ ! -e /tmp/stat.end ]; do sleep 0.1; done")
        .await?;
    held.expect(0, &ZEROS)
        .await
        .context("no new mapping was made")?;
    held.quit().await?;
    lab.sh(&format!("umount {}", lab.first().mount_point()))
        .await?;
    lab.mount(lab.first()).await?;
    verify(&lab).await?;
    let mut held = Held::new(&lab, "file", false).await?;
    held.expect(0, &mapped).await?;
    held.quit().await?;
    lab.end().await
}

/// The guest shuts down with the share still mounted, which the new daemon knows nothing of.
async fn a_power_off_with_a_new_daemon(host: &Host) -> Result<()> {
    let mut lab = start(host).await?;
    kill_daemon(&lab)?;
    lab.start_daemon_again().await?;
    // For an existing file the guest might answer from its cache.
    let stat = format!("stat {} 2>&1 || true", lab.first().in_guest("no-such-file"));
    let said = lab.sh(&stat).await?;
    ensure!(said.contains(ENDS[0]), "stat said {said:?}");
    lab.end().await
}
