// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab export`: its programs, compiled and run in guests without anything else of the lab.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Output;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::lab::{Host, SHARE_TIME_OUT, ShareCase, daxlab, told};
use crate::scenario::{Group, Tests};
use crate::tests;

/// Where a guest of `daxlab share` has its share.
const IN_GUEST: &str = "/share";
/// Exit status of a program that has found what it looks for.
const FOUND: i32 = 1;

pub const GROUP: Group = Group {
    name: "export",
    tests: Tests::Alone(tests![Alone:
        a_slip_is_found_where_the_kernel_waits_for_nothing_and_not_elsewhere,
        a_hidden_pin_is_found,
        a_file_that_the_host_appends_to_is_short,
    ]),
};

/// A share with the program of a case.
async fn exported(name: &str) -> Result<ShareCase> {
    let case = ShareCase::new()?;
    let program = Command::new(daxlab()?)
        .args(["export", name])
        .output()
        .await?;
    ensure!(program.status.success(), "{}", told(&program));
    let source = case.on_host("show.c");
    std::fs::write(&source, &program.stdout)?;
    let mut gcc = Command::new("gcc");
    gcc.args(["-static", "-o"])
        .arg(case.on_host("show"))
        .arg(&source);
    let compiled = gcc.output().await.context("running gcc")?;
    ensure!(compiled.status.success(), "{}", told(&compiled));
    Ok(case)
}

/// `daxlab share` with DAX for small files, too.
fn arguments<'a>(dir: &'a str, kernel: &'a str, show: &'a str) -> [&'a str; 8] {
    [
        "--dax", "always", "--kernel", kernel, dir, "--", show, IN_GUEST,
    ]
}

async fn played(case: &ShareCase, kernel: &str) -> Result<Output> {
    let show = format!("{IN_GUEST}/show");
    case.run(&arguments(case.dir()?, kernel, &show)).await
}

async fn a_slip_is_found_where_the_kernel_waits_for_nothing_and_not_elsewhere(
    _: &Host,
) -> Result<()> {
    let case = exported("matrix::fuse::vmsplice::truncate").await?;
    let output = played(&case, "build:6.12+nowait").await?;
    ensure!(
        output.status.code() == Some(FOUND),
        "nowait: {}",
        told(&output)
    );
    ensure!(
        output.stdout.starts_with(b"FOUND: it returned while "),
        "{}",
        told(&output)
    );
    let output = played(&case, "build:6.12").await?;
    ensure!(output.status.code() == Some(0), "6.12: {}", told(&output));
    ensure!(
        output.stdout.starts_with(b"NOT FOUND: it returned when "),
        "{}",
        told(&output)
    );
    Ok(())
}

/// The control is the same program without the change of the file.
async fn a_hidden_pin_is_found(_: &Host) -> Result<()> {
    for (name, status) in [
        ("change-hides-loaded-page::fuse", FOUND),
        ("loaded-page-in-pipe::fuse", 0),
    ] {
        let output = played(&exported(name).await?, "build:6.12").await?;
        ensure!(
            output.status.code() == Some(status),
            "{name}: {}",
            told(&output)
        );
    }
    Ok(())
}

/// The host acts when the program asks for it.
async fn a_file_that_the_host_appends_to_is_short(_: &Host) -> Result<()> {
    let case = exported("appended-is-read::fuse").await?;
    let show = format!("{IN_GUEST}/show");
    let args = arguments(case.dir()?, "build:6.12", &show);
    let mut child = case.start(&args)?;
    let mut stdin = child.stdin.take().context("no input")?;
    let mut stdout = BufReader::new(child.stdout.take().context("no output")?);
    let mut said = String::new();
    timeout(SHARE_TIME_OUT, stdout.read_line(&mut said)).await??;
    ensure!(said.starts_with("On the host: "), "{said}");
    let mut file = OpenOptions::new().append(true).open(case.on_host("file"))?;
    file.write_all(b"more\n")?;
    stdin.write_all(b"\n").await?;
    let read = stdout.read_to_string(&mut said);
    let (read, status) =
        timeout(SHARE_TIME_OUT, async { tokio::join!(read, child.wait()) }).await?;
    read?;
    ensure!(
        status?.code() == Some(FOUND) && said.contains("\nFOUND: "),
        "{said}"
    );
    Ok(())
}
