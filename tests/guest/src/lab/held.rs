// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A mapping in the guest under the host's control.

use anyhow::{Context as _, Result, ensure};
use guest_vm::agent::{ExecRequest, OutputStream, Running};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;

use super::Lab;
use super::guest::COMMAND_TIME_OUT;
use super::host::PROBE;

/// A mapping that the probe holds in the guest, and that does what it is told.
pub struct Held {
    running: Running,
    answers: BufReader<OutputStream>,
}

impl Held {
    /// Maps the file `name` of the first share and holds it.
    pub async fn new(lab: &Lab<'_>, name: &str, write: bool) -> Result<Self> {
        Self::at(lab, &lab.first().in_guest(name), write).await
    }

    /// Maps the file `name` of the share `tag` and holds it.
    pub async fn of(lab: &Lab<'_>, tag: &str, name: &str, write: bool) -> Result<Self> {
        Self::at(lab, &lab.share(tag).in_guest(name), write).await
    }

    async fn at(lab: &Lab<'_>, path: &str, write: bool) -> Result<Self> {
        let mut argv = vec![PROBE, "hold", path, "--how", "mmap"];
        if write {
            argv.push("--write");
        }
        let request = ExecRequest::new(argv).piped_stdin();
        let mut running = lab.agent().exec(request).await?;
        let stdout = running.stdout.take().context("no output")?;
        let mut held = Self {
            running,
            answers: BufReader::new(stdout),
        };
        let found = held.answer_to("hold").await?;
        ensure!(found == "ready", "the probe said {found:?} and not ready");
        Ok(held)
    }

    /// The answer to one command.
    pub async fn ask(&mut self, command: &str) -> Result<String> {
        self.tell(command).await?;
        self.answer_to(command).await
    }

    /// Gives a command to which no answer is expected.
    pub async fn tell(&mut self, command: &str) -> Result<()> {
        let stdin = self.running.stdin.as_mut().context("no input")?;
        stdin.write_all(format!("{command}\n").as_bytes()).await?;
        Ok(stdin.flush().await?)
    }

    async fn answer_to(&mut self, command: &str) -> Result<String> {
        let mut line = String::new();
        let read = timeout(COMMAND_TIME_OUT, self.answers.read_line(&mut line)).await;
        read.with_context(|| {
            format!("the probe has not answered {command:?} in {COMMAND_TIME_OUT:?}")
        })??;
        Ok(line.trim_end().to_owned())
    }

    /// Loads the bytes at `offset`, which have to be `expected` (hexadecimal).
    pub async fn load(&mut self, offset: u64, expected: &str) -> Result<()> {
        let found = self
            .ask(&format!("load {offset} {}", expected.len() / 2))
            .await?;
        ensure!(
            found == expected,
            "offset {offset} is {found} and not {expected}"
        );
        Ok(())
    }

    /// Lets go of the mapping.
    pub async fn quit(mut self) -> Result<()> {
        self.tell("quit").await?;
        let ended = timeout(COMMAND_TIME_OUT, self.running.wait()).await;
        let status =
            ended.with_context(|| format!("the probe has not quit in {COMMAND_TIME_OUT:?}"))??;
        ensure!(status.success(), "the probe ended with {status}");
        Ok(())
    }
}
