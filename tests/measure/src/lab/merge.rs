// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab merge`: joins the shards of a run, or runs of several kernels, into one report.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use clap::Args;

use super::{Cell, Conclusion, Format, Host, Run, write_all};
use crate::{Colour, RESULTS, read};

/// Makes one report of the shards of a run
///
/// Each DIR is the --out of one `daxlab test --shard I/N`. Runs without --shard can be merged too
/// if no cell is in two of them, for example those of different kernels.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: that of `daxlab test` for all cells together (0 as expected, 1 unexpected result); 2 \
for a mistake on this command line; 3 if the lab failed in a cell, a file can't be read, runs \
don't belong together, or a shard is missing (the report of the others is made all the same).")]
pub struct MergeArgs {
    /// Folders that hold a results.json
    #[arg(required = true, value_name = "DIR")]
    pub dirs: Vec<PathBuf>,

    /// Write results.json, report.html, junit.xml and results.ktap there
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Why runs can't be merged. The paths are those of the files that were read.
#[derive(Debug, thiserror::Error)]
enum MergeError {
    /// Different versions of daxlab wrote the runs.
    #[error(
        "{} is of daxlab {}, {} of daxlab {}: merge what one version wrote",
        first.path.display(), first.value, second.path.display(), second.value
    )]
    Version { first: Of, second: Of },
    /// Two kernels have the same name.
    #[error(
        "kernel {kernel} is {} in {} and {} in {}",
        first.value, first.path.display(), second.value, second.path.display()
    )]
    Kernel {
        kernel: String,
        first: Of,
        second: Of,
    },
    /// Only some are shards, or they are shards of different numbers.
    #[error(
        "{} is {}, {} is {}: merge the shards of one run",
        first.path.display(), first.value, second.path.display(), second.value
    )]
    Shards { first: Of, second: Of },
    /// Two runs contain the same cell.
    #[error("{cell} is in {} and in {}", first.display(), second.display())]
    Twice {
        cell: String,
        first: PathBuf,
        second: PathBuf,
    },
}

/// The properties of a run that must agree.
#[derive(Debug)]
struct Of {
    path: PathBuf,
    value: String,
}

/// Merges the runs, and writes and prints the report.
///
/// # Errors
///
/// If a file can't be read or written, or the runs don't belong together.
pub fn run(args: &MergeArgs, out: &mut dyn Write) -> Result<Conclusion> {
    let mut runs = Vec::new();
    for dir in &args.dirs {
        let path = dir.join(RESULTS);
        runs.push((path.clone(), read(&path)?));
    }
    ensure!(!runs.is_empty(), "there is nothing to merge");
    let Merged { run, missing } = merge(runs)?;
    if let Some(out) = &args.out {
        write_all(&run, out)?;
    }
    Format::Pretty.print(&run, Colour::for_stdout(), out)?;
    if missing.is_empty() {
        return Ok(run.conclusion());
    }
    let missing: Vec<_> = missing.iter().map(u32::to_string).collect();
    let missing = missing.join(", ");
    eprintln!("daxlab merge: the report lacks the cells of missing shards: {missing}");
    Ok(Conclusion::LabFailed)
}

/// The joined run, and the missing shards.
#[derive(Debug)]
struct Merged {
    run: Run,
    /// The numbers of the missing shards.
    missing: Vec<u32>,
}

/// Merges runs. Each comes with the path of its file.
fn merge(runs: Vec<(PathBuf, Run)>) -> Result<Merged, MergeError> {
    same_version(&runs)?;
    same_kernels(&runs)?;
    let missing = missing(&runs)?;
    no_cell_twice(&runs)?;
    let hosts: Vec<_> = runs.iter().map(|(_, run)| run.host.clone()).collect();
    let started = runs.iter().map(|(_, run)| run.started.clone()).min();
    let (_, first) = &runs[0];
    let whole = Run {
        schema: first.schema,
        lab_version: first.lab_version.clone(),
        started: started.unwrap_or_default(),
        host: together(&hosts),
        command: unsharded(&first.command),
        shard: None,
        cells: Vec::new(),
    };
    let mut shards = runs.into_iter().map(|(_, run)| run).collect::<Vec<_>>();
    shards.sort_by_key(|run| run.shard.map(|shard| shard.index));
    let cells = dealt(shards.into_iter().map(|run| run.cells));
    Ok(Merged {
        run: Run { cells, ..whole },
        missing,
    })
}

fn of(path: &Path, value: impl ToString) -> Of {
    Of {
        path: path.to_owned(),
        value: value.to_string(),
    }
}

fn same_version(runs: &[(PathBuf, Run)]) -> Result<(), MergeError> {
    let (path, first) = &runs[0];
    let differs = |(_, run): &&(PathBuf, Run)| run.lab_version != first.lab_version;
    match runs.iter().find(differs) {
        None => Ok(()),
        Some((other, run)) => Err(MergeError::Version {
            first: of(path, &first.lab_version),
            second: of(other, &run.lab_version),
        }),
    }
}

fn same_kernels(runs: &[(PathBuf, Run)]) -> Result<(), MergeError> {
    let mut known: HashMap<&str, (&Path, &str)> = HashMap::new();
    for (path, run) in runs {
        let booted = run.cells.iter().filter(|cell| !cell.release.is_empty());
        for Cell {
            kernel, release, ..
        } in booted
        {
            let (first, same) = *known.entry(kernel).or_insert((path, release));
            if same != release {
                return Err(MergeError::Kernel {
                    kernel: kernel.clone(),
                    first: of(first, same),
                    second: of(path, release),
                });
            }
        }
    }
    Ok(())
}

/// The numbers of the missing shards. All shards have to be of the same number.
fn missing(runs: &[(PathBuf, Run)]) -> Result<Vec<u32>, MergeError> {
    let (path, first) = &runs[0];
    let number = |run: &Run| run.shard.map(|shard| shard.of);
    let says = |run: &Run| match run.shard {
        Some(shard) => format!("shard {shard}"),
        None => "no shard".into(),
    };
    let differs = |(_, run): &&(PathBuf, Run)| number(run) != number(first);
    if let Some((other, run)) = runs.iter().find(differs) {
        return Err(MergeError::Shards {
            first: of(path, says(first)),
            second: of(other, says(run)),
        });
    }
    let given = |index: u32| {
        let mut shards = runs.iter().filter_map(|(_, run)| run.shard);
        shards.any(|shard| shard.index == index)
    };
    let all = 0..number(first).unwrap_or(0);
    Ok(all.filter(|index| !given(*index)).collect())
}

fn no_cell_twice(runs: &[(PathBuf, Run)]) -> Result<(), MergeError> {
    let mut known: HashMap<String, &PathBuf> = HashMap::new();
    for (path, run) in runs {
        for cell in &run.cells {
            if let Some(first) = known.insert(cell.id(), path) {
                return Err(MergeError::Twice {
                    cell: cell.id(),
                    first: first.clone(),
                    second: path.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Takes one cell from each shard in turn. Cells were distributed to the shards like this, so the
/// original order comes back.
fn dealt(hands: impl Iterator<Item = Vec<Cell>>) -> Vec<Cell> {
    let mut hands: Vec<_> = hands.map(Vec::into_iter).collect();
    let mut cells = Vec::new();
    loop {
        let before = cells.len();
        cells.extend(hands.iter_mut().filter_map(Iterator::next));
        if cells.len() == before {
            return cells;
        }
    }
}

/// The common description of the hosts. Where they differ, all values are listed, and the smallest
/// number of processors counts.
fn together(hosts: &[Host]) -> Host {
    let all = |field: fn(&Host) -> &str| {
        let mut values = Vec::new();
        for value in hosts.iter().map(field) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        values.join(" / ")
    };
    Host {
        cpu: all(|host| &host.cpu),
        cores: hosts.iter().map(|host| host.cores).min().unwrap_or(0),
        accel: all(|host| &host.accel),
        qemu: all(|host| &host.qemu),
        kernel: all(|host| &host.kernel),
    }
}

/// The command line of the whole run, without the shard.
fn unsharded(command: &[String]) -> Vec<String> {
    let mut whole = Vec::new();
    let mut words = command.iter();
    while let Some(word) = words.next() {
        if word == "--shard" {
            words.next();
        } else if !word.starts_with("--shard=") {
            whole.push(word.clone());
        }
    }
    whole
}

#[cfg(test)]
mod tests;
