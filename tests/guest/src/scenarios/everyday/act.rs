// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One act: a script that one side repeats while the other side reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use qemu_guest::vm::agent::{Agent, ExecRequest};
use tokio::process::Command;
use tokio::time::timeout;

use super::reader::Reader;
use super::tree;

/// An act is repeated at least this often.
const ROUNDS: u32 = 4;
/// An act is also repeated until each reader has read all files this often.
const PASSES: u32 = 3;
/// How long all rounds of an act may take, with a guest under emulation on a busy machine.
const ACT_TIME_OUT: Duration = Duration::from_secs(900);
/// How long one round may take in the guest.
const ROUND_TIME_OUT: Duration = Duration::from_secs(600);

/// The side that acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// A shell of the host.
    Host,
    /// The first guest's shell.
    Guest,
}

/// What is done in a folder, as shell scripts that start there.
pub struct Act {
    /// The folder's name.
    pub name: &'static str,
    /// Makes the folder's first content, on the host.
    pub prepare: &'static str,
    /// The side that repeats `round`.
    pub side: Side,
    /// Repeated; `$ROUND` counts from 1.
    pub round: &'static str,
    /// Has to succeed on the host after all rounds.
    pub check: &'static str,
}

/// Where an act is run.
pub struct Place<'a> {
    /// The share's tag.
    pub name: &'static str,
    /// The guests that have the share mounted. The first one may act; all of them read.
    pub agents: Vec<&'a Agent>,
    /// The act's folder.
    pub on_host: PathBuf,
    /// The act's folder in the guest.
    pub in_guest: String,
}

impl Act {
    /// Runs all rounds, and compares the content on both sides at the end.
    pub async fn play(&self, place: &Place<'_>) -> Result<()> {
        let played = timeout(ACT_TIME_OUT, self.rounds(place)).await;
        played
            .with_context(|| format!("{} has not ended in {ACT_TIME_OUT:?}", self.name))?
            .with_context(|| format!("{} in the share {:?}", self.name, place.name))?;
        for agent in &place.agents {
            tree::expect_equal(&place.on_host, agent, &place.in_guest)
                .await
                .with_context(|| format!("{} in the share {:?}", self.name, place.name))?;
        }
        host_shell(&place.on_host, self.check, 0).await
    }

    async fn rounds(&self, place: &Place<'_>) -> Result<()> {
        fs::create_dir(&place.on_host)?;
        host_shell(&place.on_host, self.prepare, 0).await?;
        let mut readers = self.readers(place).await?;
        let mut round = 0;
        while round < ROUNDS || readers.iter().any(|reader| reader.passes() < PASSES) {
            round += 1;
            let lost = readers.iter().any(Reader::has_ended);
            ensure!(
                !lost,
                "a reader has ended in round {round}; does its VM live?"
            );
            match self.side {
                Side::Host => host_shell(&place.on_host, self.round, round).await?,
                Side::Guest => self.guest_shell(place, round).await?,
            }
        }
        for reader in &mut readers {
            reader.stop().await?;
        }
        Ok(())
    }

    /// The readers of this act: all guests that don't act, and the host if a guest acts.
    async fn readers(&self, place: &Place<'_>) -> Result<Vec<Reader>> {
        let (acting, mut readers) = match self.side {
            Side::Host => (0, Vec::new()),
            Side::Guest => (1, vec![Reader::on_host(&place.on_host)]),
        };
        for agent in &place.agents[acting..] {
            readers.push(Reader::in_guest(agent, &place.in_guest).await?);
        }
        Ok(readers)
    }

    async fn guest_shell(&self, place: &Place<'_>, round: u32) -> Result<()> {
        let request = ExecRequest::new(["sh", "-euc", self.round])
            .cwd(&place.in_guest)
            .env("ROUND", round.to_string());
        let acting = place.agents[0];
        let output = acting.run_within(ROUND_TIME_OUT, request, &[]).await?;
        ensure!(
            output.status.success(),
            "round {round} in the guest ended with {}: {}",
            output.status,
            output.stderr_text()
        );
        Ok(())
    }
}

/// Runs `script` on the host in `dir`, where it has to succeed.
async fn host_shell(dir: &Path, script: &str, round: u32) -> Result<()> {
    let output = Command::new("sh")
        .args(["-euc", script])
        .current_dir(dir)
        .env("ROUND", round.to_string())
        // git shall not read the settings of the user who runs the tests, and does not need them.
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Somebody")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "none")))
        .kill_on_drop(true)
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "round {round} on the host: {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
