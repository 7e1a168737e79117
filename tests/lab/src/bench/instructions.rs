// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bench instructions`: what a request costs the daemon in instructions, compared with what is
//! kept. `dax-bench` counts.

use std::{fs, io::Write, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use dax_bench::instructions::{Counts, Kept, Operation, TOLERANCE, count};
use qemu_guest::vm::Programs;

use crate::cli::Status;

/// How many functions are named.
const NAMED: usize = 5;

/// Counts the daemon's instructions for a request, under valgrind
///
/// Unlike times, they are the same on a busy machine. GETATTR, LOOKUP and READ must allocate no memory. The
/// comparison is made only if compiler, C library and processor are as they were; else the counts are
/// shown, and that.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 no request has grown by more than 3 %, or it can't be compared; 1 one has, or allocates \
memory; 3 something could not be counted.")]
pub struct InstructionsArgs {
    /// The daemon, an optimised build [default: virtiofs-daxd beside daxlab]
    #[arg(long, value_name = "PATH")]
    daemon: Option<PathBuf>,

    /// The counts to compare with
    #[arg(long, value_name = "FILE")]
    kept: PathBuf,

    /// Keep the new counts in that file instead
    #[arg(long)]
    keep: bool,
}

/// Counts, and compares or keeps.
///
/// # Errors
///
/// If something could not be counted, or the file can't be read or written.
pub fn run(args: &InstructionsArgs, out: &mut dyn Write) -> Result<Status> {
    let daemon = match &args.daemon {
        Some(path) => path.clone(),
        None => Programs::daemon()?,
    };
    let mut now = Kept {
        with: with()?,
        operations: Default::default(),
    };
    for operation in Operation::ALL {
        let name = operation.name();
        let counts =
            count(&daemon, operation).with_context(|| format!("{name} was not counted"))?;
        now.operations.insert(name.to_owned(), counts);
    }
    let path = args.kept.display();
    if args.keep {
        let text = serde_json::to_string_pretty(&now)? + "\n";
        fs::write(&args.kept, text).with_context(|| format!("can't write {path}"))?;
        return Ok(Status::Success);
    }
    let text = fs::read(&args.kept).with_context(|| format!("can't read {path}"))?;
    let kept: Kept =
        serde_json::from_slice(&text).with_context(|| format!("{path} has no counts"))?;
    compare(&now, &kept, out)
}

fn compare(now: &Kept, kept: &Kept, out: &mut dyn Write) -> Result<Status> {
    let comparable = now.with == kept.with;
    if !comparable {
        writeln!(
            out,
            "not compared: this is with {}, and the kept counts are with {}; --keep keeps new ones",
            now.with, kept.with
        )?;
    }
    let mut status = Status::Success;
    for operation in Operation::ALL.iter().filter(|one| !one.allocates()) {
        let name = operation.name();
        if let Some(instructions) = now.operations.get(name).and_then(Counts::allocating) {
            writeln!(
                out,
                "{name} allocates memory, in {instructions} instructions"
            )?;
            status = Status::Unexpected;
        }
    }
    for (name, counts) in &now.operations {
        let before = kept.operations.get(name).cloned().unwrap_or_default();
        let (total, kept) = (counts.total(), before.total());
        writeln!(out, "{name}: {total} instructions, {kept} kept")?;
        if comparable && total as f64 > kept as f64 * (1.0 + TOLERANCE) {
            blame(counts, &before, out)?;
            status = Status::Unexpected;
        }
    }
    Ok(status)
}

fn blame(now: &Counts, kept: &Counts, out: &mut dyn Write) -> Result<()> {
    writeln!(out, "  more than {} % above; grown are", TOLERANCE * 100.0)?;
    for (function, more) in now.grown(kept).into_iter().take(NAMED) {
        writeln!(out, "  {more:>6} {function}")?;
    }
    Ok(())
}

/// What decides how many instructions a program has, beside its source.
fn with() -> Result<String> {
    let asked = |program: &str| -> Result<String> {
        let output = Command::new(program).arg("--version").output();
        let output = output.with_context(|| format!("can't ask {program} for its version"))?;
        ensure!(output.status.success(), "{program} has no version");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    let vectors = match is_x86_feature_detected!("avx2") {
        true => "AVX2",
        false => "no AVX2",
    };
    Ok(format!("{}, {}, {vectors}", asked("rustc")?, asked("ldd")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(with: &str, instructions: u64) -> Kept {
        let counts = Counts([("serve".to_owned(), instructions)].into());
        Kept {
            with: with.to_owned(),
            operations: [("getattr".to_owned(), counts)].into(),
        }
    }

    #[test]
    fn an_allocation_fails_with_any_compiler() {
        let mut now = kept("another", 1000);
        let counts = now.operations.get_mut("getattr").unwrap();
        for (instructions, expected) in [(15, Status::Success), (16, Status::Unexpected)] {
            counts.0.insert("malloc".to_owned(), instructions);
            let now = Kept {
                with: "another".to_owned(),
                operations: [("getattr".to_owned(), counts.clone())].into(),
            };
            let mut out = Vec::new();
            let status = compare(&now, &kept("one", 1000), &mut out);
            assert_eq!(status.unwrap(), expected, "{instructions}");
        }
    }

    #[test]
    fn what_has_grown_fails_and_is_named() {
        for (with, instructions, expected) in [
            ("one", 1030, Status::Success),
            ("one", 1031, Status::Unexpected),
            ("one", 500, Status::Success),
            ("another", 2000, Status::Success),
        ] {
            let mut out = Vec::new();
            let status = compare(&kept(with, instructions), &kept("one", 1000), &mut out);
            assert_eq!(status.unwrap(), expected, "{instructions}");
            let said = String::from_utf8(out).unwrap();
            assert_eq!(
                said.contains("serve"),
                expected == Status::Unexpected,
                "{said}"
            );
            assert_eq!(said.contains("not compared"), with != "one", "{said}");
        }
    }
}
