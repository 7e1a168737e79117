// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab share`, run as a user runs it.

use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::lab::{Host, Leftovers, Mounts, daxlab};
use crate::scenario::{Group, Tests};
use crate::tests;

/// How long the command may take, with a guest's boot under emulation.
const SHARE_TIME_OUT: Duration = Duration::from_secs(300);
/// Longer than `share` waits in silence for a guest's end.
const SLOW_END: Duration = Duration::from_secs(5);
/// The status when `share` itself has failed.
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

/// A folder to share, and one for what the command keeps while it runs.
struct Case {
    share: TempDir,
    run: TempDir,
    mounts: Mounts,
}

impl Case {
    fn new() -> Result<Self> {
        Ok(Self {
            share: tempfile::tempdir()?,
            run: tempfile::tempdir()?,
            mounts: Mounts::now()?,
        })
    }

    /// `daxlab share ARG…`, with its files in a folder of this case.
    fn start(&self, args: &[&str]) -> Result<Child> {
        let program = daxlab()?;
        let child = Command::new(&program)
            .arg("share")
            .args(args)
            .env("XDG_RUNTIME_DIR", self.run.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        child.with_context(|| format!("can't start {}; build it first", program.display()))
    }

    fn dir(&self) -> Result<&str> {
        let dir = self.share.path().to_str();
        dir.context("the temporary folder's name is no UTF-8")
    }

    /// The processes of the share's daemon.
    fn daemon(&self) -> Result<Vec<Pid>> {
        let args = format!("--shared-dir\0{}\0", self.dir()?);
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc")? {
            let path = entry?.path();
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&args) {
                let name = path.file_name().and_then(|name| name.to_str());
                found.extend(name.and_then(|pid| Pid::from_raw(pid.parse().ok()?)));
            }
        }
        ensure!(!found.is_empty(), "no process has the arguments {args:?}");
        Ok(found)
    }

    async fn expect_nothing_left(&self) -> Result<()> {
        Leftovers::of(self.run.path(), self.mounts.clone())
            .expect_none()
            .await?;
        let left = self.run.path().read_dir()?.next();
        ensure!(left.is_none(), "left in the run's folder: {left:?}");
        Ok(())
    }
}

async fn passes_streams_and_status_through(_host: &Host) -> Result<()> {
    let case = Case::new()?;
    // Every byte, in an order that repeats at no power of two.
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
    let case = Case::new()?;
    let script = "echo ready; exec sleep infinity";
    let mut child = case.start(&[case.dir()?, "--", "sh", "-c", script])?;
    expect_ready(&mut child).await?;
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    kill_process(pid.context("no process")?, Signal::TERM)?;
    let output = ended(child).await?;
    let status = output.status;
    ensure!(status.code() == Some(128 + 15), "{}", told(&output));
    case.expect_nothing_left()
        .await
        .with_context(|| status.to_string())
}

/// Where standard error is no terminal it is the command's alone, however long the end takes.
async fn says_nothing_of_its_own_about_a_slow_end(_host: &Host) -> Result<()> {
    let case = Case::new()?;
    let mut child = case.start(&[case.dir()?, "--", "sh", "-c", "echo ready; cat; exit 7"])?;
    expect_ready(&mut child).await?;
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
    let case = Case::new()?;
    let output = ended(case.start(&[case.dir()?, "--dry-run"])?).await?;
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
    let case = Case::new()?;
    let file = case.share.path().join("file");
    std::fs::write(&file, "")?;
    for path in [case.share.path().join("missing"), file] {
        let path = path.to_str().context("a name that is no UTF-8")?;
        let output = ended(case.start(&[path, "--", "true"])?).await?;
        let said = told(&output);
        ensure!(output.status.code() == Some(FAILED), "{said}");
        ensure!(said.lines().count() == 1 && said.contains(path), "{said}");
    }
    case.expect_nothing_left().await
}

/// Waits for the command's first line, `ready`.
async fn expect_ready(child: &mut Child) -> Result<()> {
    let mut ready = [0; 6];
    let stdout = child.stdout.as_mut().context("no output")?;
    let read = timeout(SHARE_TIME_OUT, stdout.read_exact(&mut ready)).await;
    read.context("the command in the guest has not begun")??;
    ensure!(&ready == b"ready\n", "the command said {ready:?}");
    Ok(())
}

async fn ended(child: Child) -> Result<Output> {
    let output = timeout(SHARE_TIME_OUT, child.wait_with_output()).await;
    Ok(output.with_context(|| format!("daxlab did not end in {SHARE_TIME_OUT:?}"))??)
}

/// What came of it, in one line for each that it said.
fn told(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    format!("{}: {}", output.status, said.trim_end())
}
