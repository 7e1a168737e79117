// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab series`: a patch series, built and played patch by patch.

mod mailbox;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use dax_measure::lab::{Run, Verdict};
use dax_measure::put;
use glob::Pattern;
use qemu_guest::artifacts::kernel::{BuiltKernel, KernelError};
use qemu_guest::artifacts::{Cache, Kernel, Progress};

use crate::catalogue::Selection;
use crate::cli::{Status, word};
use crate::share::AccelArg;
use crate::test::{Ended, HeldToArg, play};
use mailbox::Mail;

/// Applies the patches of a mailbox one after the other, builds and plays each, and says what each one
/// changed
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 no patch made a case fail; 1 one did; 2 a mistake on this command line; 3 a patch does not \
apply, a kernel does not build, or the lab itself failed; 128 + N signal N ended the run.")]
pub struct SeriesArgs {
    /// The mailbox, as git format-patch --stdout or b4 writes it
    #[arg(value_name = "MBOX")]
    pub mailbox: PathBuf,

    /// The kernel that the series is for: build:BASE or build:BASE+CHANGE
    #[arg(long, value_name = "KERNEL")]
    pub base: BuiltKernel,

    /// The cases by name, or by patterns in which * stands for anything [default: the core matrix]
    #[arg(long = "case", value_name = "NAME|GLOB", value_parser = Pattern::new)]
    pub cases: Vec<Pattern>,

    /// What the kernels are held to
    #[arg(long, value_enum, default_value = "contract")]
    pub held_to: HeldToArg,

    /// Where the results go: a folder for each patch
    #[arg(long, value_name = "DIR", default_value = "daxlab-series")]
    pub out: PathBuf,

    /// How guests are run
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelArg,
}

/// Plays the series.
///
/// # Errors
///
/// If the mailbox can't be read, or holds no patch; if a patch does not apply or build; if the lab can't
/// be started.
pub fn run(args: &SeriesArgs, out: &mut dyn Write) -> Result<Status> {
    let text = fs::read(&args.mailbox);
    let text = text.with_context(|| format!("can't read {}", args.mailbox.display()))?;
    let mails = mailbox::patches(&String::from_utf8_lossy(&text));
    if mails.is_empty() {
        anyhow::bail!(
            "{} holds no patch; write one with git format-patch --stdout",
            args.mailbox.display()
        );
    }
    let cases: Vec<String> = match args.cases.as_slice() {
        [] => Vec::new(),
        patterns => Selection::names(patterns)?,
    };
    let cache = Cache::open(Progress::auto())?;
    let (accel, held_to) = (word(&args.accel), word(&args.held_to));
    let options = ["--accel", &accel, "--held-to", &held_to];
    steps(
        &mails,
        &args.out,
        |patches, image| Kernel::patched(args.base, patches, image, &cache),
        |image, folder| play(&image.display().to_string(), &cases, &options, folder),
        out,
    )
}

/// All steps: the base first, and then with each patch.
fn steps(
    mails: &[Mail],
    folder: &Path,
    build: impl Fn(&[PathBuf], &Path) -> Result<(), KernelError>,
    play: impl Fn(&Path, &Path) -> Result<Ended>,
    out: &mut dyn Write,
) -> Result<Status> {
    let mut files = Vec::new();
    let mut before: Option<Run> = None;
    let mut status = Status::Success;
    for number in 0..=mails.len() {
        let place = folder.join(format!("{number:02}"));
        fs::create_dir_all(&place).with_context(|| format!("can't make {}", place.display()))?;
        let title = match number.checked_sub(1).map(|index| &mails[index]) {
            None => "the base",
            Some(mail) => {
                let file = place.join("patch");
                fs::write(&file, &mail.text)
                    .with_context(|| format!("can't write {}", file.display()))?;
                files.push(file);
                &mail.subject
            }
        };
        let image = place.join("bzImage");
        build(&files, &image).with_context(|| format!("{number:02} {title}"))?;
        let run = match play(&image, &place)? {
            Ended::Played(run) => *run,
            Ended::Signalled(signal) => return Ok(Status::Signalled(signal)),
        };
        let changes = changes(before.as_ref(), &run);
        put(&format!("{number:02} {title}\n{}", changes.text), out)?;
        status = match (status, run.totals().lab_errors) {
            (_, 1..) | (Status::LabFailed, _) => Status::LabFailed,
            (status, 0) if changes.worse => worse(status),
            (status, _) => status,
        };
        before = Some(run);
    }
    Ok(status)
}

fn worse(status: Status) -> Status {
    match status {
        Status::LabFailed => status,
        _ => Status::Unexpected,
    }
}

/// What one patch changed.
struct Changes {
    text: String,
    /// Whether a case fails that passed.
    worse: bool,
}

/// The cells that came out otherwise than in the run before. Of the first run, those that failed.
fn changes(before: Option<&Run>, run: &Run) -> Changes {
    let passes = |verdict| matches!(verdict, Verdict::Expected | Verdict::Fixed);
    let mut changes = Changes {
        text: String::new(),
        worse: false,
    };
    let mut same = 0;
    for cell in &run.cells {
        let was = before.and_then(|before| before.cells.iter().find(|was| was.case == cell.case));
        let (is, good) = (cell.outcome.name(), passes(cell.verdict));
        let line = match was {
            None if good => None,
            None => Some(format!("fails    {}: {is}: {}", cell.case, cell.why)),
            Some(was) if was.outcome == cell.outcome && was.verdict == cell.verdict => None,
            Some(was) => {
                let word = match (passes(was.verdict), good) {
                    (false, true) => "mended",
                    (true, false) => "broken",
                    _ => "changed",
                };
                changes.worse |= word == "broken";
                let was = was.outcome.name();
                Some(format!(
                    "{word:<8} {}: {was}, now {is}: {}",
                    cell.case, cell.why
                ))
            }
        };
        match line {
            Some(line) => changes.text += &format!("   {line}\n"),
            None => same += 1,
        }
    }
    let words = if before.is_some() {
        "as before"
    } else {
        "passed"
    };
    changes.text += &format!("   {same} of {} {words}\n", run.cells.len());
    changes
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use dax_measure::lab::{Outcome, fixture};

    use super::*;

    /// A kernel is good while its patches are fewer than two, and again with the third.
    fn played(patches: usize) -> Run {
        let cell = fixture::waited("k", "fuse", "dio-read", "punch");
        fixture::run(vec![match patches {
            2 => fixture::ended(
                cell,
                Outcome::Harmed,
                Verdict::Unexpected,
                "a byte is another",
            ),
            _ => cell,
        }])
    }

    #[test]
    fn the_patch_that_breaks_and_the_one_that_mends_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let mail = |subject: &str| Mail {
            subject: subject.to_owned(),
            text: "a diff\n".to_owned(),
        };
        let mails = [mail("one"), mail("two"), mail("three")];
        let applied = RefCell::new(0);
        let mut out = Vec::new();
        let status = steps(
            &mails,
            folder.path(),
            |patches, _| {
                assert!(patches.iter().all(|patch| patch.is_file()));
                *applied.borrow_mut() = patches.len();
                Ok(())
            },
            |_, _| Ok(Ended::Played(Box::new(played(*applied.borrow())))),
            &mut out,
        );
        assert_eq!(status.unwrap(), Status::Unexpected);
        let case = "matrix::fuse::dio-read::punch";
        let text = String::from_utf8(out).unwrap();
        let expected = format!(
            "00 the base\n   1 of 1 passed\n\
             01 one\n   1 of 1 as before\n\
             02 two\n   broken   {case}: waited, now harmed: a byte is another\n   0 of 1 as before\n\
             03 three\n   mended   {case}: harmed, now waited: "
        );
        assert!(text.starts_with(&expected), "{text}");
    }
}
