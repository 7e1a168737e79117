// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs the faults one after another, like a test harness.
//!
//! `daemon-faults [FILTER]`, `--list` and other arguments are those of cargo's tests. The daemon is
//! the one beside the program, or the one that `VIRTIOFS_DAXD` names. `FAULTS_SEED` is the seed of
//! faults with random decisions. Without it a seed is drawn and printed. The faults that took longest
//! are printed at the end.

use std::env;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use libtest_mimic::{Arguments, Trial, run};
use parking_lot::Mutex;
use virtiofs_driver::daemon::{daxd, take_logs};

use crate::fault::{Fault, Setting};
use crate::host::KernelLog;
use crate::{faults, vmm};

/// The variable that sets the seed.
const SEED: &str = "FAULTS_SEED";
/// The number of faults in the list of those that took longest.
const LONGEST: usize = 12;

/// The faults played so far, each with its time.
static TIMES: Mutex<Vec<(Duration, &str)>> = Mutex::new(Vec::new());

/// Runs the selected faults.
pub fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("off")).init();
    if let Err(error) = vmm::be_one_if_told() {
        eprintln!("daemon-faults as a VMM: {error:#}");
        return ExitCode::FAILURE;
    }
    let mut arguments = Arguments::from_args();
    // Faults count descriptors, mounts and processes, so they run one at a time.
    arguments.test_threads = Some(1);
    match setting() {
        Ok(setting) => {
            if !arguments.list {
                eprintln!("{SEED}={}", setting.seed);
            }
            let trials = faults::all().map(|fault| trial(fault, setting.clone()));
            let conclusion = run(&arguments, trials.collect());
            print_longest();
            conclusion.exit_code()
        }
        Err(error) => {
            eprintln!("daemon-faults: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn trial(fault: &'static Fault, setting: Setting) -> Trial {
    Trial::test(fault.name, move || {
        take_logs();
        let mut kernel_log = KernelLog::follow();
        let begin = Instant::now();
        let played = (fault.play)(&setting);
        TIMES.lock().push((begin.elapsed(), fault.name));
        played.map_err(|error| format!("{}{}", with_logs(&error), kernel_log.stalls()).into())
    })
}

fn print_longest() {
    let mut times = TIMES.lock();
    times.sort_unstable_by_key(|(took, _)| std::cmp::Reverse(*took));
    for (took, name) in times.iter().take(LONGEST) {
        println!("{:6.1} s  {name}", took.as_secs_f64());
    }
}

/// The error, and what the fault's daemons have logged.
fn with_logs(error: &anyhow::Error) -> String {
    let logs = take_logs().into_iter();
    let logs = logs.map(|log| format!("\nthe daemon's log:\n{log}"));
    format!("{error:#}{}", logs.collect::<String>())
}

fn setting() -> Result<Setting> {
    let root = rustix::process::geteuid().is_root();
    anyhow::ensure!(root, "the daemon's sandbox and its window need root");
    let seed = match env::var(SEED) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{SEED}={text} is no number"))?,
        Err(_) => fastrand::u64(..),
    };
    let daemon = daxd()?;
    Ok(Setting { daemon, seed })
}
