// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab share`, run as a user runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Leftovers, Mounts, Size, Terminal, daxlab};

/// How long the command may take, including the boot of an emulated guest.
pub const SHARE_TIME_OUT: Duration = Duration::from_secs(300);
/// The variable of the folder in which the command keeps sockets and logs.
const RUNTIME_DIR: &str = "XDG_RUNTIME_DIR";

/// A folder to share, and one for the command's sockets and logs.
pub struct ShareCase {
    share: TempDir,
    run: TempDir,
    mounts: Mounts,
}

impl ShareCase {
    /// Makes two empty folders.
    pub fn new() -> Result<Self> {
        Ok(Self {
            share: tempfile::tempdir()?,
            run: tempfile::tempdir()?,
            mounts: Mounts::now()?,
        })
    }

    /// `daxlab share ARG…`, with its files in a folder of this case.
    pub fn start(&self, args: &[&str]) -> Result<Child> {
        let program = daxlab()?;
        let child = Command::new(&program)
            .arg("share")
            .args(args)
            .env(RUNTIME_DIR, self.run.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        child.with_context(|| format!("can't start {}; build it first", program.display()))
    }

    /// Runs the command to its end, with an empty standard input.
    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        ended(self.start(args)?).await
    }

    /// Like [`ShareCase::run`], for work that takes longer.
    pub async fn run_within(&self, limit: Duration, args: &[&str]) -> Result<Output> {
        ended_within(limit, self.start(args)?).await
    }

    /// Starts the command on a terminal.
    pub fn on_terminal(&self, size: Size, args: &[&str]) -> Result<Terminal> {
        let program = daxlab()?;
        let program = text(&program)?;
        let words = [&[program, "share"], args].concat();
        Terminal::start(size, &words, &[(RUNTIME_DIR, text(self.run.path())?)])
    }

    /// The folder that is shared.
    pub fn dir(&self) -> Result<&str> {
        text(self.share.path())
    }

    /// The name of that folder, which no other has.
    pub fn name(&self) -> Result<&str> {
        let name = self.share.path().file_name();
        text(Path::new(name.context("the folder has no name")?))
    }

    /// The path of a file in it.
    pub fn on_host(&self, name: &str) -> PathBuf {
        self.share.path().join(name)
    }

    /// The folder of the command's sockets and logs.
    pub fn run_dir(&self) -> &Path {
        self.run.path()
    }

    /// The processes of the share's daemon.
    pub fn daemon(&self) -> Result<Vec<Pid>> {
        let args = format!("--shared-dir\0{}\0", self.dir()?);
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            let line = fs::read(path.join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&args) {
                let name = path.file_name().and_then(|name| name.to_str());
                found.extend(name.and_then(|pid| Pid::from_raw(pid.parse().ok()?)));
            }
        }
        ensure!(!found.is_empty(), "no process has the arguments {args:?}");
        Ok(found)
    }

    /// Waits until the command has left no process, mount or file.
    pub async fn expect_nothing_left(&self) -> Result<()> {
        Leftovers::of(self.run.path(), self.mounts.clone())
            .expect_none()
            .await?;
        let left = self.run.path().read_dir()?.next();
        ensure!(left.is_none(), "left in the run's folder: {left:?}");
        Ok(())
    }
}

/// Closes the standard input and waits for the command's end.
pub async fn ended(child: Child) -> Result<Output> {
    ended_within(SHARE_TIME_OUT, child).await
}

async fn ended_within(limit: Duration, child: Child) -> Result<Output> {
    let output = timeout(limit, child.wait_with_output()).await;
    Ok(output.with_context(|| format!("daxlab did not end in {limit:?}"))??)
}

/// The exit status and the standard error of the command, as one text.
pub fn told(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    format!("{}: {}", output.status, said.trim_end())
}

fn text(path: &Path) -> Result<&str> {
    let text = path.to_str();
    text.with_context(|| format!("{} is no UTF-8", path.display()))
}
