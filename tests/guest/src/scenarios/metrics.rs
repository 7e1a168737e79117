// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon shows the mappings of a real guest, and `daxlab top` prints them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use guest_agent::access::{self, How, Part};
use guest_agent::pattern::Seed;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::lab::{Boot, Held, Host, Plan, daxlab};
use crate::scenario::{Group, Tests};
use crate::tests;

const MIB: u64 = 1 << 20;
/// How long a value may take to be shown, on a busy machine.
const SHOWN: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

pub const GROUP: Group = Group {
    name: "metrics",
    tests: Tests::Alone(tests![Alone: a_guest_s_mappings_are_shown_and_so_is_their_end]),
};

async fn a_guest_s_mappings_are_shown_and_so_is_their_end(host: &Host) -> Result<()> {
    let place = tempfile::tempdir()?;
    let socket = place.path().join("metrics");
    let option = format!("--metrics={}", socket.display());
    let part = Part::first(5 * MIB);
    let plan = Plan::new("metrics")?
        .daemon_args(&[&option])
        .content(|dir| access::fill(&dir.join("mapped"), part, Seed(1), How::Syscall))?;
    let lab = host.boot(Boot::with(plan)).await?;
    shown(&socket, "0 ranges of 0 files").await?;
    let mut held = Held::new(&lab, "mapped", true).await?;
    // One byte in each of the file's three ranges. The last range is mapped beyond the file's end.
    for offset in [0, 2 * MIB, 4 * MIB] {
        held.read(offset, 1).await?;
    }
    let report = shown(&socket, "6.0 MiB mapped, 5.0 MiB used; 3 ranges of 1 files").await?;
    ensure!(report.contains("/mapped\n"), "{report}");
    ensure!(report.contains("3 maps, 0 unmaps"), "{report}");
    held.quit().await?;
    let path = lab.first().in_guest("mapped");
    lab.sh(&format!("rm {path}")).await?;
    let report = shown(&socket, "0 ranges of 0 files").await?;
    ensure!(report.contains("3 maps, 3 unmaps"), "{report}");
    lab.end().await?;
    ensure!(!socket.exists(), "the socket of the metrics is left over");
    Ok(())
}

/// Waits until the output of `daxlab top` contains `text`. Returns that output.
async fn shown(socket: &Path, text: &str) -> Result<String> {
    let program = daxlab()?;
    let deadline = Instant::now() + SHOWN;
    loop {
        let output = Command::new(&program)
            .arg("top")
            .arg(socket)
            .output()
            .await?;
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        if report.contains(text) {
            return Ok(report);
        }
        if Instant::now() > deadline {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("timed out after {SHOWN:?} waiting for {text:?}: {report}{said}");
        }
        sleep(PAUSE).await;
    }
}
