// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs `daxlab mutants`.

use std::fs;
use std::io::Write;

use anyhow::{Context as _, Result, bail};
use dax_measure::put;
use qemu_guest::artifacts::kernel::{BuiltKernel, Mutant};
use qemu_guest::artifacts::{Cache, Kernel, KernelSpec, Progress};

use super::MutantsArgs;
use super::fate::Fate;
use super::page::{Line, page};
use super::play::Shelf;
use crate::cli::{Status, word};
use crate::test::Ended;

/// Plays mutants, prints what became of each, and writes the page.
///
/// # Errors
///
/// If a kernel can't be built, or the lab can't be started.
pub fn run(args: &MutantsArgs, out: &mut dyn Write) -> Result<Status> {
    let mutants = args.mutants();
    if mutants.is_empty() {
        bail!("no mutant has this name and base; `daxlab mutants --list` names them all");
    }
    if args.list {
        for mutant in mutants {
            put(&listed(mutant), out)?;
        }
        return Ok(Status::Success);
    }
    let shelf = Shelf {
        root: args.out.clone(),
        accel: word(&args.accel),
    };
    if let Some(signal) = shelf.play_control(&mutants)? {
        return Ok(Status::Signalled(signal));
    }
    let cache = Cache::open(Progress::auto())?;
    let mut status = Status::Success;
    for mutant in mutants {
        let spec = KernelSpec::Built(BuiltKernel::mutant(mutant));
        Kernel::obtain(&spec, None, &cache)?;
        if let Ended::Signalled(signal) = shelf.play(mutant)? {
            return Ok(Status::Signalled(signal));
        }
        let line = line(&shelf, mutant)?.context("daxlab test has left no results")?;
        put(&told(&line), out)?;
        status = worse(status, &line);
        write_page(args, &shelf)?;
    }
    Ok(status)
}

fn listed(mutant: &Mutant) -> String {
    let cells = match mutant.cells().as_slice() {
        [] => "the core matrix".to_owned(),
        cells => cells.join(" "),
    };
    let kernel = format!("build:{}+mutant-{}", mutant.base.name(), mutant.name);
    format!(
        "{kernel}\n    {} {}\n    {cells}\n",
        mutant.title(),
        mutant.place()
    )
}

/// A mutant's line of the table, if it was played.
fn line(shelf: &Shelf, mutant: &'static Mutant) -> Result<Option<Line>> {
    let Some(run) = shelf.results(mutant)? else {
        return Ok(None);
    };
    let fate = Fate::of(&run, &shelf.control(mutant.original())?);
    Ok(Some(Line { mutant, run, fate }))
}

/// The line for the terminal.
fn told(line: &Line) -> String {
    let name = BuiltKernel::mutant(line.mutant);
    match &line.fate {
        Fate::Killed { by, .. } => {
            format!(
                "killed    {name} by {}: {}: {}\n",
                by.case,
                by.outcome.name(),
                by.why
            )
        }
        Fate::Survived(cells) => format!("SURVIVED  {name}, in {cells} cases\n"),
        Fate::Unknown(why) => format!("unknown   {name}: {why}\n"),
    }
}

/// The worse status: a failure of the lab goes before a surprise.
fn worse(status: Status, line: &Line) -> Status {
    match line.fate {
        _ if status == Status::LabFailed => status,
        Fate::Unknown(_) => Status::LabFailed,
        _ if line.fate.is_expected(line.mutant) => status,
        _ => Status::Unexpected,
    }
}

/// Writes the page of all results that there are.
fn write_page(args: &MutantsArgs, shelf: &Shelf) -> Result<()> {
    let Some(file) = &args.page else {
        return Ok(());
    };
    let lines = Mutant::ALL.iter().map(|mutant| line(shelf, mutant));
    let lines: Vec<Line> = lines.filter_map(Result::transpose).collect::<Result<_>>()?;
    fs::write(file, page(&lines)).with_context(|| format!("can't write {}", file.display()))
}
