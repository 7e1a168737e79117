// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Several runs as one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::error::{MergeError, Of};
use crate::model::{Cell, Host, Run};

/// The runs as one, and what it lacks.
#[derive(Debug)]
pub struct Merged {
    /// All cells.
    pub run: Run,
    /// The numbers of the shards that were not given.
    pub missing: Vec<u32>,
}

/// Merges runs, each with the file that it was read from.
///
/// # Errors
///
/// If they don't belong together or a cell is in two of them.
///
/// # Panics
///
/// If there are none.
pub fn merge(runs: Vec<(PathBuf, Run)>) -> Result<Merged, MergeError> {
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

/// The shards that were not given; all have to be of one number.
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

/// One cell from each in turn: cells are dealt to shards so, and the table's order comes back.
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

/// What the hosts have in common; where they differ, all of it, and the fewest processors.
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

/// The command line of the whole run.
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
