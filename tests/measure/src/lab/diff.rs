// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab diff`: the changes between two runs, cell by cell.

mod show;

use std::{
    collections::{HashMap, HashSet},
    io::Write,
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;

use self::show::show;
use super::{
    Cell, CellKey, Conclusion, Run, Verdict,
    grid::{Group, groups},
    latency::{Samples, Wakes, wakes},
    terminal::labels,
};
use crate::{put, read};

/// Says what changed between two runs
///
/// Cells are the same if case and kernel are. Where each run has one kernel, and these differ, the
/// two kernels are compared. Of a cell's repetitions the worst counts.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit status: 0 if nothing got worse, 1 if a cell that was right is wrong, one that was as expected \
is not any more, or one is gone, \
2 for a mistake on this command line, 3 if a file can't be read.")]
pub struct DiffArgs {
    /// results.json of the run before
    #[arg(value_name = "A.json")]
    pub before: PathBuf,

    /// results.json of the run after
    #[arg(value_name = "B.json")]
    pub after: PathBuf,
}

/// Prints the changes.
///
/// # Errors
///
/// If a file can't be read, or printing fails.
pub fn run(args: &DiffArgs, out: &mut dyn Write) -> Result<Conclusion> {
    let before: Run = read(&args.before)?;
    let after: Run = read(&args.after)?;
    let changes = compare(&before, &after);
    put(&show(&changes), out)?;
    Ok(match changes.regressions().next() {
        Some(_) => Conclusion::Unexpected,
        None => Conclusion::Expected,
    })
}

/// One cell before and after, all repetitions taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Change {
    /// The case, and its kernel if the runs have several.
    name: String,
    /// The matrix's word in the first run; `None` if the cell is new.
    before: Option<String>,
    /// The matrix's word in the second run; `None` if the cell is gone.
    after: Option<String>,
    /// The reason that the later run gives.
    why: String,
    /// Whether the cell got better or worse.
    direction: Direction,
}

/// The direction of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// A cell that was wrong is right, or one that was unexpected is as expected.
    Better,
    /// Neither: the cell was or is skipped, or both results are as right as each other.
    Neutral,
    /// A cell that was right is wrong, one that was as expected is not, or it is gone.
    Worse,
}

impl Direction {
    /// From one result to another; `None` is a cell that is not there.
    fn of(before: &Group<'_>, after: Option<&Group<'_>>) -> Self {
        let was = Rank::of(before);
        let Some(after) = after else {
            return match was {
                Some(Rank::Right | Rank::Known) => Self::Worse,
                _ => Self::Neutral,
            };
        };
        match (was, Rank::of(after)) {
            (Some(was), Some(is)) if is > was => Self::Worse,
            (Some(was), Some(is)) if is < was => Self::Better,
            _ => Self::Neutral,
        }
    }
}

/// How good a result is; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The contract is fulfilled.
    Right,
    /// The contract is broken as this kernel is known to break it.
    Known,
    /// The result is not as expected.
    Unexpected,
    /// The lab failed.
    Failed,
}

impl Rank {
    /// The rank of a group's worst cell; `None` if all are skipped.
    fn of(group: &Group<'_>) -> Option<Self> {
        let of_cell = |cell: &&Cell| match cell.verdict {
            Verdict::Skipped => None,
            Verdict::Expected | Verdict::Fixed if cell.is_right() => Some(Self::Right),
            Verdict::Expected | Verdict::Fixed => Some(Self::Known),
            Verdict::Unexpected => Some(Self::Unexpected),
            Verdict::LabError => Some(Self::Failed),
        };
        group.cells.iter().filter_map(of_cell).max()
    }
}

/// The latencies of a pin on a file system and a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Slower {
    name: String,
    before: Samples,
    after: Samples,
}

impl Slower {
    /// The second run's median divided by the first run's; `None` if one is missing or the first is
    /// 0.
    fn ratio(&self) -> Option<f64> {
        let (before, after) = (self.before.median()?, self.after.median()?);
        (before > 0).then(|| after as f64 / before as f64)
    }
}

/// All changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Changes {
    /// The kernels, if the runs have one each and these differ.
    kernels: Option<(String, String)>,
    /// Cells of both runs with another outcome, verdict or share of repetitions.
    changed: Vec<Change>,
    /// Cells of the first run only.
    gone: Vec<Change>,
    /// Cells of the second run only.
    new: Vec<Change>,
    /// The number of cells without a change.
    same: usize,
    /// The latencies that both runs have measured.
    wakes: Vec<Slower>,
}

impl Changes {
    /// The cells that got worse.
    fn regressions(&self) -> impl Iterator<Item = &Change> {
        let all = self.changed.iter().chain(&self.gone);
        all.filter(|change| change.direction == Direction::Worse)
    }

    /// The number of cells that got better.
    fn improvements(&self) -> usize {
        let better = |change: &&Change| change.direction == Direction::Better;
        self.changed.iter().filter(better).count()
    }
}

/// Compares two runs.
fn compare(before: &Run, after: &Run) -> Changes {
    let kernels = other_kernel(before, after);
    // Two kernels are compared as if they were the same.
    let key = |group: &Group<'_>| match kernels {
        Some(_) => (group.key.case.to_owned(), String::new()),
        None => (group.key.case.to_owned(), group.key.kernel.to_owned()),
    };
    let later = groups(&after.cells);
    let by_key: HashMap<_, _> = later.iter().map(|group| (key(group), group)).collect();
    let mut changes = Changes {
        kernels: kernels.map(|(a, b)| (a.to_owned(), b.to_owned())),
        ..Changes::default()
    };
    let mut met = HashSet::new();
    let name = |key: CellKey<'_>| match kernels {
        Some(_) => key.case.to_owned(),
        None => key.to_string(),
    };
    for group in groups(&before.cells) {
        let now = by_key.get(&key(&group)).copied();
        let change = Change {
            name: name(group.key),
            before: Some(labels::text(&group)),
            after: now.map(labels::text),
            why: now.map_or_else(String::new, |now| now.worst().why.clone()),
            direction: Direction::of(&group, now),
        };
        match now {
            None => changes.gone.push(change),
            Some(now) if alike(&group, now) => changes.same += 1,
            Some(_) => changes.changed.push(change),
        }
        met.insert(key(&group));
    }
    let new = later.iter().filter(|group| !met.contains(&key(group)));
    changes.new.extend(new.map(|group| Change {
        name: name(group.key),
        before: None,
        after: Some(labels::text(group)),
        why: group.worst().why.clone(),
        direction: Direction::Neutral,
    }));
    changes.wakes = slower(before, after, kernels.is_some());
    changes
}

/// Whether both have the same result. The number of repetitions does not count.
fn alike(before: &Group<'_>, after: &Group<'_>) -> bool {
    let (was, is) = (before.worst(), after.worst());
    let whole = |group: &Group<'_>| group.like_the_worst() == group.cells.len();
    was.outcome == is.outcome && was.verdict == is.verdict && whole(before) == whole(after)
}

fn other_kernel<'a>(before: &'a Run, after: &'a Run) -> Option<(&'a str, &'a str)> {
    match (&before.kernels()[..], &after.kernels()[..]) {
        ([a], [b]) if a != b => Some((a, b)),
        _ => None,
    }
}

fn slower(before: &Run, after: &Run, other_kernel: bool) -> Vec<Slower> {
    let later = wakes(&after.cells);
    let both = wakes(&before.cells).into_iter().filter_map(|was| {
        let same = |is: &&Wakes<'_>| {
            let kernel = other_kernel || is.kernel == was.kernel;
            is.fs == was.fs && is.pin == was.pin && kernel
        };
        let is = later.iter().find(same)?;
        let mut name = was.name();
        if !other_kernel {
            name.extend([" on ", was.kernel]);
        }
        Some(Slower {
            name,
            before: was.wake,
            after: is.wake.clone(),
        })
    });
    both.collect()
}

#[cfg(test)]
mod tests;
