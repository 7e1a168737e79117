// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The shell that `daxlab share` starts without a command, used as a person uses it.

use std::fs;

use anyhow::{Result, ensure};

use crate::lab::{Host, ShareCase, Size, Terminal};
use crate::scenario::{Group, Tests};
use crate::tests;

const SIZE: Size = Size {
    rows: 24,
    columns: 80,
};
const PROMPT: &str = "guest:/share# ";
/// The prompt of the shell on the console.
const CONSOLE_PROMPT: &str = "/share #";
const CTRL_C: &str = "\x03";
const CTRL_Z: &str = "\x1a";
/// The guest does not report that a new size has reached it, so the test asks up to this often.
const LOOKS: usize = 100;

pub const GROUP: Group = Group {
    name: "share_shell",
    tests: Tests::Alone(tests![Alone: on_a_terminal, as_a_dry_run_prints_it]),
};

async fn on_a_terminal(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    let mut terminal = case.on_terminal(SIZE, &[case.dir()?])?;
    terminal.see(PROMPT).await?;
    size_follows(&mut terminal).await?;
    jobs_are_controlled(&mut terminal).await?;
    terminal.type_in("exit 7\n").await?;
    let status = terminal.end().await?;
    ensure!(status.code() == Some(7), "{status}");
    case.expect_nothing_left().await
}

async fn size_follows(terminal: &mut Terminal) -> Result<()> {
    terminal.type_in("stty size\n").await?;
    terminal.see("24 80\r\n").await?;
    terminal.resize(Size {
        rows: 31,
        columns: 97,
    })?;
    for _ in 0..LOOKS {
        terminal.type_in("stty size; echo loo''ked\n").await?;
        if terminal.see("looked\r\n").await?.contains("31 97\r\n") {
            terminal.see(PROMPT).await?;
            return Ok(());
        }
    }
    anyhow::bail!("the guest's terminal has not got the new size in {LOOKS} looks")
}

async fn jobs_are_controlled(terminal: &mut Terminal) -> Result<()> {
    terminal.type_in("sleep 1000 &\n").await?;
    terminal.see(PROMPT).await?;
    terminal.type_in("jobs\n").await?;
    terminal.see("Running").await?;
    terminal.see("sleep 1000").await?;
    terminal.see(PROMPT).await?;

    // Busybox's shell consumes input that is typed before the command has started.
    terminal
        .type_in("sh -c 'echo $1; exec cat' sh be''gun\n")
        .await?;
    terminal.see("begun\r\n").await?;
    answers(terminal, "first").await?;
    terminal.type_in(CTRL_Z).await?;
    terminal.see("Stopped").await?;
    terminal.see(PROMPT).await?;
    terminal.type_in("fg\n").await?;
    terminal.see("exec cat").await?;
    answers(terminal, "second").await?;

    terminal.type_in(CTRL_C).await?;
    terminal.see(PROMPT).await?;
    // The shell and its background jobs are still alive.
    terminal.type_in("jobs; echo ali''ve\n").await?;
    let jobs = terminal.see("alive\r\n").await?;
    ensure!(
        jobs.contains("sleep 1000") && !jobs.contains("Stopped"),
        "the jobs after Ctrl-C: {jobs:?}"
    );
    terminal.see(PROMPT).await.map(drop)
}

/// `cat` reads from the terminal: input is echoed once by the terminal and once by `cat`.
async fn answers(terminal: &mut Terminal, word: &str) -> Result<()> {
    terminal.type_in(&format!("{word}\n")).await?;
    terminal
        .see(&format!("{word}\r\n{word}\r\n"))
        .await
        .map(drop)
}

/// Pastes the output of `--dry-run` into a shell. Its guest has no agent, but a shell on the
/// console.
async fn as_a_dry_run_prints_it(_host: &Host) -> Result<()> {
    let case = ShareCase::new()?;
    fs::write(case.on_host("file"), "from the host\n")?;
    let printed = case.run(&[case.dir()?, "--dry-run"]).await?;
    let script = String::from_utf8(printed.stdout)?;
    // The daemon's log would come in between what the guest shows on the same terminal.
    let quiet = [("RUST_LOG", "off")];
    let mut terminal = Terminal::start(SIZE, &["sh", "-c", &script], &quiet)?;
    terminal.see("is mounted on /share").await?;
    terminal.see(CONSOLE_PROMPT).await?;
    terminal
        .type_in("cat file; echo mounts=$(grep -c virtiofs /proc/mounts)\n")
        .await?;
    terminal.see("from the host").await?;
    terminal.see("mounts=1").await?;
    terminal
        .type_in("dmesg | grep 'Cache len'; echo gue''st > made\n")
        .await?;
    terminal.see("Cache len: 0x20000000").await?;
    terminal.type_in("exit\n").await?;
    let status = terminal.end().await?;
    ensure!(status.success(), "{status}");
    let made = fs::read_to_string(case.on_host("made"))?;
    ensure!(made == "guest\n", "the guest wrote {made:?}");
    case.expect_nothing_left().await
}
