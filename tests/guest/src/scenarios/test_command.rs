// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab test`, interrupted in the middle. Its own runs show what it finds.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::lab::{Host, Leftovers, Mounts, daxlab};
use crate::scenario::{Group, Tests};
use crate::tests;

/// How long the first case may take, including the boots of its guests under emulation.
const FIRST_CASE: Duration = Duration::from_secs(300);
/// How long the command may take to kill guests and to write reports.
const END: Duration = Duration::from_secs(60);

pub const GROUP: Group = Group {
    name: "test_command",
    tests: Tests::Alone(tests![Alone: a_signal_ends_all_guests_and_loses_no_result]),
};

async fn a_signal_ends_all_guests_and_loses_no_result(_host: &Host) -> Result<()> {
    let mounts = Mounts::now()?;
    let (run, out) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let program = daxlab()?;
    // Two guests at a time, and more cases than can have ended by then.
    let args = ["--fs", "ext4", "--jobs", "2", "--repeat", "100", "--out"];
    let mut child = Command::new(&program)
        .arg("test")
        .args(args)
        .arg(out.path())
        .env("XDG_RUNTIME_DIR", run.path())
        .env("TMPDIR", run.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("can't start {}; build it first", program.display()))?;
    let stderr = child.stderr.take().context("no standard error")?;
    let mut lines = BufReader::new(stderr).lines();
    let first = timeout(FIRST_CASE, lines.next_line()).await;
    let first = first.context("no case has ended")??;
    let first = first.context("it ended without a case")?;
    ensure!(first.contains("matrix::ext4::"), "{first}");
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    kill_process(pid.context("no process")?, Signal::INT)?;
    let read_on = async {
        while lines.next_line().await?.is_some() {}
        anyhow::Ok(())
    };
    let (status, read) = timeout(END, async { tokio::join!(child.wait(), read_on) })
        .await
        .with_context(|| format!("daxlab did not end in {END:?}"))?;
    read?;
    let status = status?;
    ensure!(status.code() == Some(128 + 2), "{status}");
    let results = std::fs::read(out.path().join("results.json"))?;
    let results: Value = serde_json::from_slice(&results)?;
    let cells = results["cells"].as_array().context("no cells")?;
    let skipped = cells.iter().filter(|cell| cell["verdict"] == "skipped");
    let (skipped, all) = (skipped.count(), cells.len());
    ensure!(
        all == 600 && (1..all).contains(&skipped),
        "{skipped} of {all} are skipped"
    );
    Leftovers::of(run.path(), mounts).expect_none().await?;
    let left = run.path().read_dir()?.next();
    ensure!(left.is_none(), "left in the run's folder: {left:?}");
    Ok(())
}
