// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs the stories one after another, like a test harness.
//!
//! `page-tests [FILTER]`, `--list` and other arguments are those of cargo's tests. The daemon is
//! the one beside the program, or the one that `VIRTIOFS_DAXD` names. The browser is
//! `/usr/bin/chromium`, or the one that `CHROMIUM` names. With `PICTURE=FILE` the program takes a
//! picture of the page instead.

use std::env;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use libtest_mimic::{Arguments, Trial, run};
use tokio::runtime::Builder;

use crate::scene;
use crate::stories::{self, Story};

/// The variable that names the file for a picture.
const PICTURE: &str = "PICTURE";

/// Runs the selected stories.
pub fn main() -> ExitCode {
    if let Some(file) = env::var_os(PICTURE) {
        return match told(async move { scene::picture(file.as_ref()).await }) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("page-tests: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut arguments = Arguments::from_args();
    // The stories measure how soon a change is seen, so they run one at a time.
    arguments.test_threads = Some(1);
    let trials = stories::ALL.into_iter().map(trial);
    run(&arguments, trials.collect()).exit_code()
}

fn trial((name, story): (&'static str, Story)) -> Trial {
    Trial::test(name, move || {
        told(story()).map_err(|error| format!("{error:#}").into())
    })
}

/// The guest blocks while it waits for the daemon. The browser must not wait meanwhile.
fn told(story: impl Future<Output = Result<()>>) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    ensure!(root, "the daemon's sandbox and its window need root");
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(story)
}
