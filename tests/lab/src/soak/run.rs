// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs a soak and prints its result.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use daemon_faults::soak::{self, Failure, SoakOptions, Summary};
use qemu_guest::vm::Programs;

use super::SoakArgs;
use crate::{cli::Status, signals::Noted};

/// The interval of progress messages.
const TELL_EACH: Duration = Duration::from_secs(30);

/// Runs the soak as the options say.
///
/// # Errors
///
/// If the soak can't start.
pub fn run(args: &SoakArgs, out: &mut dyn Write) -> Result<Status> {
    let daemon = match &args.daemon {
        Some(path) => path.clone(),
        None => Programs::daemon()?,
    };
    let signal = Noted::catch().context("can't catch signals")?;
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    dax_measure::put(&format!("seed {seed}\n"), out)?;
    let noted = signal.clone();
    let mut told_at = Instant::now();
    let mut options = SoakOptions {
        daemon,
        seed,
        episode: args.episode,
        time: Duration::from_secs(args.seconds),
        goes_on: Box::new(move |summary| {
            if told_at.elapsed() >= TELL_EACH {
                eprintln!(
                    "daxlab soak: {} episodes, {} steps",
                    summary.episodes, summary.steps
                );
                told_at = Instant::now();
            }
            noted.number().is_none()
        }),
    };
    match soak::run(&mut options) {
        Ok(summary) => {
            dax_measure::put(&told(&summary), out)?;
            Ok(signal.number().map_or(Status::Success, Status::Signalled))
        }
        Err(failure) => {
            dax_measure::put(&blamed(&failure, seed), out)?;
            Ok(Status::Unexpected)
        }
    }
}

fn told(summary: &Summary) -> String {
    let mut told = format!(
        "{} episodes, {} steps, nothing found\n",
        summary.episodes, summary.steps
    );
    for (kind, times) in &summary.kinds {
        told += &format!("{times:>6}  {kind}\n");
    }
    told
}

fn blamed(failure: &Failure, seed: u64) -> String {
    let mut blamed = format!(
        "episode {} failed: {}\n{:#}\nits last steps:\n",
        failure.episode, failure.kind, failure.error
    );
    for line in failure.journal.lines() {
        blamed += &format!("{line}\n");
    }
    blamed
        + &format!(
            "to play it again: daxlab soak --seed {seed} --episode {} --seconds 1\n",
            failure.episode
        )
}

#[cfg(test)]
mod tests {
    use daemon_faults::soak::Journal;

    use super::*;

    #[test]
    fn a_failure_says_how_to_play_it_again() {
        let mut journal = Journal::default();
        journal.step("map a range".to_owned());
        let failure = Failure {
            episode: 7,
            kind: "a walk".to_owned(),
            journal,
            error: anyhow::anyhow!("a byte is lost"),
        };
        let blamed = blamed(&failure, 99);
        assert!(
            blamed.starts_with("episode 7 failed: a walk\na byte is lost\n"),
            "{blamed}"
        );
        assert!(blamed.contains("    1  map a range\n"), "{blamed}");
        assert!(
            blamed.ends_with("--seed 99 --episode 7 --seconds 1\n"),
            "{blamed}"
        );
    }
}
