// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A `daxlab test` in a process of its own, whose results are kept.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use dax_measure::RESULTS;
use dax_measure::lab::Run;

/// How a `daxlab test` ended.
pub enum Ended {
    /// Its results are there.
    Played(Box<Run>),
    /// This signal ended it.
    Signalled(u8),
}

/// Plays cases on a kernel. Results go to `out`.
///
/// # Errors
///
/// If `daxlab test` can't be run, or leaves no results.
pub fn play(kernel: &str, cases: &[String], options: &[&str], out: &Path) -> Result<Ended> {
    let results = out.join(RESULTS);
    if results.exists() {
        fs::remove_file(&results).with_context(|| format!("can't remove {}", results.display()))?;
    }
    let program = std::env::current_exe().context("can't find this program's own file")?;
    let mut test = Command::new(program);
    test.args(["test", "--kernel", kernel]).args(options);
    test.args(cases.iter().flat_map(|case| ["--case", case]));
    test.arg("--out").arg(out).stdout(Stdio::null());
    let status = test.status().context("can't run daxlab test")?;
    match status.code() {
        // The results say which cases the lab has failed in; without them, it has told why.
        Some(0 | 1 | 3) if results.exists() => {
            Ok(Ended::Played(Box::new(dax_measure::read(&results)?)))
        }
        Some(code @ 129..) => Ok(Ended::Signalled((code - 128) as u8)),
        _ => bail!("daxlab test on {kernel} failed: {status}"),
    }
}
