// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Live migration works without a window. With a window it is refused with a clear message.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use qemu_guest::accel::AccelChoice;
use qemu_guest::vm::agent::ExecRequest;
use qemu_guest::vm::machine::Machine;
use qemu_guest::vm::process::{Daemon, Guest, Qmp, RunDir, Share};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::lab::{Boot, Host, Plan};
use crate::scenario::{Group, Tests};
use crate::tests;

/// How long QEMU may take to write a guest of 1 GiB to a file, or to read it.
const MIGRATION_DEADLINE: Duration = Duration::from_secs(300);
/// How long the moved guest may take to write to the share again.
const WRITE_DEADLINE: Duration = Duration::from_secs(120);
/// inotify on the host does not report the growth on the guest's side, so the file is polled.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

pub const GROUP: Group = Group {
    name: "migration",
    tests: Tests::Alone(tests![Alone:
        without_a_window,
        with_a_window_that_was_not_taken,
        refused_with_a_window,
    ]),
};

async fn without_a_window(host: &Host) -> Result<()> {
    moved(host, plain("moved")?).await
}

/// The daemon offers a window, and the device has no use for it.
async fn with_a_window_that_was_not_taken(host: &Host) -> Result<()> {
    moved(host, plain("moved")?.daemon_args(&["--dax-window", "256M"])).await
}

/// A share on `vhost-user-fs-pci`.
fn plain(tag: &str) -> Result<Plan> {
    Ok(Plan::new(tag)?.set(|share| Share {
        window: None,
        ..share
    }))
}

/// After it was moved to another QEMU, the guest writes on, also through a file that it had open.
async fn moved(host: &Host, plan: Plan) -> Result<()> {
    let lab = host.boot(Boot::with(plan)).await?;
    // Writes through one open file, and through one that is opened each time.
    let path = lab.first().in_guest("ticks");
    let script = format!(
        "exec 3>>{path}.open; while :; do echo tick >&3; echo tick >> {path}; usleep 100000; done"
    );
    let _writer = lab
        .agent()
        .exec(ExecRequest::new(["sh", "-c", &script]))
        .await?;
    let files = [
        lab.first().on_host("ticks.open"),
        lab.first().on_host("ticks"),
    ];
    grows(&files[0], 0).await?;

    let state = lab.dir().join("state");
    let mut qmp = lab.vm().guest().qmp().await;
    migrate(&mut qmp, &format!("file:{}", state.display())).await?;
    drop(qmp);
    let lengths = files
        .each_ref()
        .map(|file| fs::metadata(file).map_or(0, |data| data.len()));

    let dir = RunDir::create()?;
    let (share, socket) = (lab.vm_share(), dir.join("fs0.sock"));
    let log = dir.join("daemon0.log");
    let daemon = Daemon::start(&host.parts.daemon, &share, &socket, &log).await?;
    let accel = host.parts.accel(AccelChoice::Auto).await?;
    let mut machine = Machine::new(accel.accel, host.parts.boot(vec!["quiet".into()]));
    machine.shares.push(share.device(&socket));
    machine.extra = vec!["-incoming".into(), "defer".into()];
    let moved = Guest::start(&host.parts.qemu_line(), machine, dir.path()).await?;
    // A guest whose agent finds no host at its port powers itself off.
    let _agent = moved.connect_agent().await?;
    let from = json!({ "uri": format!("file:{}", state.display()) });
    moved.qmp().await.execute("migrate-incoming", from).await?;
    for (file, length) in files.iter().zip(lengths) {
        let grown = grows(file, length).await;
        grown.with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!(
                "the moved guest's daemon said:\n{said}\n{}",
                moved.console_tail()
            )
        })?;
    }
    moved.stop().await?;
    daemon.stop().await?;
    let (vm, _shares) = lab.into_vm();
    vm.quit().await
}

/// QEMU knows that its device can't be migrated.
async fn refused_with_a_window(host: &Host) -> Result<()> {
    let lab = host.boot(Boot::with(Plan::new("fixed")?)).await?;
    let state = lab.dir().join("state");
    let mut qmp = lab.vm().guest().qmp().await;
    let Err(error) = migrate(&mut qmp, &format!("file:{}", state.display())).await else {
        bail!("the guest was migrated");
    };
    let said = format!("{error:#}");
    ensure!(
        said.contains("vhost-user-test-device"),
        "refused with: {said}"
    );
    ensure!(
        qmp.status().await? == "running",
        "the guest does not run after the refusal"
    );
    drop(qmp);
    lab.sh("echo alive").await?;
    lab.end().await
}

/// Moves the guest out and waits until that is done.
async fn migrate(qmp: &mut Qmp, uri: &str) -> Result<()> {
    let events = json!({ "capabilities": [{ "capability": "events", "state": true }] });
    qmp.execute("migrate-set-capabilities", events).await?;
    qmp.migrate(uri).await?;
    loop {
        let event = qmp.event("MIGRATION", MIGRATION_DEADLINE).await?;
        match event["status"].as_str() {
            Some("completed") => return Ok(()),
            Some("failed") | None => {
                let why = qmp.execute("query-migrate", json!({})).await?;
                bail!("the migration failed: {why}");
            }
            Some(_) => {}
        }
    }
}

/// Waits until the file is longer than `length` bytes.
async fn grows(file: &Path, length: u64) -> Result<()> {
    let deadline = Instant::now() + WRITE_DEADLINE;
    loop {
        let now = fs::metadata(file).map_or(0, |data| data.len());
        if now > length {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "{} has stayed at {now} bytes for {WRITE_DEADLINE:?}",
                file.display()
            );
        }
        sleep(LOOK_AGAIN).await;
    }
}
