// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bisect`: one step of `git bisect run`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use dax_measure::lab::{Run, Verdict};
use glob::Pattern;
use qemu_guest::artifacts::kernel::KernelError;
use qemu_guest::artifacts::{Cache, Kernel, Progress};

use crate::catalogue::Selection;
use crate::cli::{Status, word};
use crate::share::AccelArg;
use crate::test::{Ended, HeldToArg, play};

/// Builds the kernel source tree that it stands in, and plays cases on it, for `git bisect run`
///
/// The tree gets the lab's own configuration, beside the .config that it may have, and compiles what
/// has changed since the last step.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status, as git bisect wants it: 0 the cases passed (good); 1 one did not (bad); 125 the tree does \
not build, the lab failed, or no case could be played (skip); 128 a mistake on this command line, or \
of this machine: git bisect stops; 128 + N signal N ended it.")]
pub struct BisectArgs {
    /// The cases by name, or by patterns in which * stands for anything
    #[arg(value_name = "CASE", required = true, value_parser = Pattern::new)]
    pub cases: Vec<Pattern>,

    /// What the kernel is held to
    #[arg(long, value_enum, default_value = "contract")]
    pub held_to: HeldToArg,

    /// How often each case is played; one failure is bad
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,

    /// How guests are run
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelArg,
}

/// Takes the step.
///
/// # Errors
///
/// If git bisect has to stop.
pub fn run(args: &BisectArgs) -> Result<Status> {
    let cases = Selection::names(&args.cases)?;
    let tree = env::current_dir().context("can't find the current folder")?;
    let cache = Cache::open(Progress::auto())?;
    let out = tempfile::tempdir().context("can't make a folder for results")?;
    let (accel, held_to) = (word(&args.accel), word(&args.held_to));
    let repeat = args.repeat.to_string();
    let options = [
        "--accel",
        &accel,
        "--held-to",
        &held_to,
        "--repeat",
        &repeat,
    ];
    step(
        || Kernel::of_tree(&tree, &cache).map(|kernel| kernel.image),
        |image| play(&image.display().to_string(), &cases, &options, out.path()),
    )
}

/// One step: what `build` and `play` come to.
fn step(
    build: impl FnOnce() -> Result<PathBuf, KernelError>,
    play: impl FnOnce(&Path) -> Result<Ended>,
) -> Result<Status> {
    let image = match build() {
        Ok(image) => image,
        Err(error) if error.is_of_the_source() => {
            eprintln!("daxlab bisect: skipped: {:#}", anyhow::Error::new(error));
            return Ok(Status::Skip);
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match play(&image) {
        Ok(Ended::Played(run)) => verdict(&run),
        Ok(Ended::Signalled(signal)) => Status::Signalled(signal),
        Err(error) => {
            eprintln!("daxlab bisect: skipped: {error:#}");
            Status::Skip
        }
    })
}

/// A failure counts even if the lab failed in another case.
fn verdict(run: &Run) -> Status {
    let is = |verdict| run.cells.iter().any(|cell| cell.verdict == verdict);
    for cell in &run.cells {
        eprintln!("{}: {}: {}", cell.case, cell.outcome.name(), cell.why);
    }
    match () {
        () if is(Verdict::Unexpected) => Status::Unexpected,
        () if is(Verdict::LabError) => Status::Skip,
        () if is(Verdict::Expected) || is(Verdict::Fixed) => Status::Success,
        () => Status::Skip,
    }
}

#[cfg(test)]
mod tests {
    use dax_measure::lab::{Outcome, fixture};

    use super::*;

    fn ended(verdict: Verdict) -> Ended {
        let cell = fixture::waited("k", "fuse", "dio-read", "punch");
        let outcome = match verdict {
            Verdict::Unexpected => Outcome::Harmed,
            _ => cell.outcome,
        };
        let cell = fixture::ended(cell, outcome, verdict, "it is so");
        Ended::Played(Box::new(fixture::run(vec![cell])))
    }

    fn built() -> Result<PathBuf, KernelError> {
        Ok(PathBuf::from("bzImage"))
    }

    #[test]
    fn what_was_played_is_good_or_bad_or_skipped() {
        for (verdict, code) in [
            (Verdict::Expected, 0),
            (Verdict::Fixed, 0),
            (Verdict::Unexpected, 1),
            (Verdict::LabError, 125),
            (Verdict::Skipped, 125),
        ] {
            let status = step(built, |_| Ok(ended(verdict))).unwrap();
            assert_eq!(status.code(), code, "{verdict:?}");
        }
        let none = step(built, |_| Ok(Ended::Played(Box::new(fixture::run(vec![])))));
        assert_eq!(none.unwrap().code(), 125);
    }

    #[test]
    fn a_lab_that_fails_skips_and_a_signal_stops() {
        let failed = step(built, |_| anyhow::bail!("no guest"));
        assert_eq!(failed.unwrap().code(), 125);
        let signalled = step(built, |_| Ok(Ended::Signalled(2)));
        assert_eq!(signalled.unwrap().code(), 130);
    }

    #[test]
    fn outside_of_a_tree_nothing_is_played_and_bisection_stops() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path(), Progress::silent()).unwrap();
        let build = || Kernel::of_tree(folder.path(), &cache).map(|kernel| kernel.image);
        let error = step(build, |_| panic!("it was played")).unwrap_err();
        assert_eq!(Status::of(&error, Status::Stop).code(), 128);
        assert!(
            error.to_string().contains("no kernel source tree"),
            "{error}"
        );
    }

    /// A tree whose configuration fails is the commit's fault, not this machine's.
    #[test]
    fn a_tree_that_does_not_build_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("Kconfig"), "").unwrap();
        std::fs::write(tree.join("Makefile"), "tinyconfig:\n\tfalse\n").unwrap();
        let cache = Cache::at(&folder.path().join("cache"), Progress::silent()).unwrap();
        let build = || Kernel::of_tree(&tree, &cache).map(|kernel| kernel.image);
        let status = step(build, |_| panic!("it was played")).unwrap();
        assert_eq!(status.code(), 125);
    }
}
