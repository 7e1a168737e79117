// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab share`, run as a user runs it.

use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use tokio::time::timeout;

use crate::lab::{Host, SHARE_TIME_OUT, ShareCase, ended, told};
use crate::scenario::{Group, Tests};
use crate::tests;

/// Longer than `share` waits for a guest's end before it prints a message.
const SLOW_END: Duration = Duration::from_secs(5);
/// The exit status if `share` itself has failed.
const FAILED: i32 = 125;

pub const GROUP: Group = Group {
    name: "share_command",
    tests: Tests::Alone(tests![Alone:
        passes_streams_and_status_through,
        ends_in_order_when_asked_to,
        says_nothing_of_its_own_about_a_slow_end,
        prints_what_it_would_start,
        refuses_what_it_can_not_share,
    ]),
};

async fn passes_streams_and_status_through(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    // All bytes but five, in an order that repeats at no power of two.
    let input: Vec<u8> = (0..=250).cycle().take(1 << 20).collect();
    let script = "cat; echo err >&2; exit 7";
    let mut child = case.start(&[case.dir()?, "--", "sh", "-c", script])?;
    let mut stdin = child.stdin.take().context("no input")?;
    let write = async move {
        stdin.write_all(&input).await?;
        drop(stdin);
        Ok(input)
    };
    let (input, output) = tokio::try_join!(write, ended(child))?;
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    let stderr = String::from_utf8_lossy(&stderr);
    ensure!(status.code() == Some(7), "{status}, and said: {stderr}");
    ensure!(stderr == "err\n", "standard error: {stderr:?}");
    ensure!(stdout == input, "{} other bytes came back", stdout.len());
    case.expect_nothing_left().await
}

async fn ends_in_order_when_asked_to(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let script = "echo ready; exec sleep infinity";
    let child = case.start(&[case.dir()?, "--", "sh", "-c", script])?;
    let child = until_ready(child).await?;
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    kill_process(pid.context("no process")?, Signal::TERM)?;
    let output = ended(child).await?;
    let status = output.status;
    ensure!(status.code() == Some(128 + 15), "{}", told(&output));
    case.expect_nothing_left()
        .await
        .with_context(|| status.to_string())
}

/// If standard error is no terminal, only the command writes to it, however long the guest's end
/// takes.
async fn says_nothing_of_its_own_about_a_slow_end(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let child = case.start(&[case.dir()?, "--", "sh", "-c", "echo ready; cat; exit 7"])?;
    let mut child = until_ready(child).await?;
    // A guest whose file system does not answer can't unmount it.
    let daemon = case.daemon()?;
    daemon
        .iter()
        .try_for_each(|pid| kill_process(*pid, Signal::STOP))?;
    drop(child.stdin.take());
    tokio::time::sleep(SLOW_END).await;
    daemon
        .iter()
        .try_for_each(|pid| kill_process(*pid, Signal::CONT))?;
    let output = ended(child).await?;
    ensure!(output.status.code() == Some(7), "{}", told(&output));
    ensure!(output.stderr.is_empty(), "{}", told(&output));
    case.expect_nothing_left().await
}

async fn prints_what_it_would_start(host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let output = case.run(&[case.dir()?, "--dry-run"]).await?;
    ensure!(output.status.success(), "{}", told(&output));
    let script = String::from_utf8(output.stdout)?;
    let programs = [
        host.parts.daemon.display().to_string(),
        host.parts.qemu_line().to_string(),
    ];
    for program in programs {
        let lines = script.lines().filter(|line| line.starts_with(&program));
        ensure!(lines.count() == 1, "not one line for {program}:\n{script}");
    }
    case.expect_nothing_left().await
}

async fn refuses_what_it_can_not_share(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let file = case.on_host("file");
    std::fs::write(&file, "")?;
    for path in [case.on_host("missing"), file] {
        let path = path.to_str().context("a name that is no UTF-8")?;
        let output = case.run(&[path, "--", "true"]).await?;
        let said = told(&output);
        ensure!(output.status.code() == Some(FAILED), "{said}");
        ensure!(said.lines().count() == 1 && said.contains(path), "{said}");
    }
    case.expect_nothing_left().await
}

/// Waits for the command's first line, `ready`.
async fn until_ready(mut child: Child) -> Result<Child> {
    let mut ready = [0; 6];
    let stdout = child.stdout.as_mut().context("no output")?;
    let read = timeout(SHARE_TIME_OUT, stdout.read_exact(&mut ready)).await;
    if read
        .context("the command in the guest has not begun")?
        .is_err()
    {
        bail!("it has ended early: {}", told(&ended(child).await?));
    }
    ensure!(&ready == b"ready\n", "the command said {ready:?}");
    Ok(child)
}
