// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Cases with a course of their own, most of them bugs of Linux, each with its expected outcome.
//!
//! A scenario's file holds all of it. The numbers are those of the list that the lab began with. The
//! letters are findings of the lab. `docs/findings.md` goes through both.

mod attributes;
mod blocks;
mod contention;
mod crowd;
mod evict;
mod hidden;
mod huge;
mod inodes;
mod lone;
mod many;
mod pages;
mod props;
pub(super) mod race;
mod refault;
mod refused;
mod reset;
mod signals;
mod stall;
mod unpinned;
mod wakeups;
mod window;

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use futures::future::LocalBoxFuture;

use super::{KernelKind, Observation, Signs};
use crate::host::{FileSystem, Rig};

/// A case with a course of its own.
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// The number or letter of the section of `docs/findings.md` about this scenario on such a kernel;
    /// `None` if there is none.
    pub finding: fn(KernelKind) -> Option<&'static str>,
    /// What happens.
    pub about: &'static str,
    /// Where its expectation comes from.
    pub source: &'static str,
    /// The file systems it is run on.
    pub fs: &'static [FileSystem],
    /// What the kernel owes.
    pub contract: Contract,
    /// The complaints and errors that it stands for.
    pub signs: Signs,
    /// The accepted outcomes.
    pub expected: fn(KernelKind, FileSystem) -> Vec<Outcome>,
    /// Runs the scenario.
    pub run: Run,
}

/// The scenarios whose removal takes a range of the window.
const RECLAIM: [&str; 4] = [
    "reopen-hides-pin",
    "self-deadlock",
    "stale-range",
    "worker-stalls-others",
];

impl Scenario {
    /// Whether its removal takes a range of the window, so that any other range would do.
    pub(super) fn reclaims(&self) -> bool {
        RECLAIM.contains(&self.name)
    }
}

/// The function that runs a scenario.
pub type Run =
    for<'a> fn(&'a mut Rig, FileSystem, &'a mut Observation) -> LocalBoxFuture<'a, Result<()>>;

/// Names an async function as a [`Run`].
macro_rules! run {
    ($function:path) => {
        |rig, fs, seen| Box::pin($function(rig, fs, seen))
    };
}
use run;

/// All scenarios.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    let files = [
        attributes::SCENARIOS,
        hidden::SCENARIOS,
        contention::SCENARIOS,
        blocks::SCENARIOS,
        crowd::SCENARIOS,
        lone::SCENARIOS,
        stall::SCENARIOS,
        many::SCENARIOS,
        window::SCENARIOS,
        refault::SCENARIOS,
        refused::SCENARIOS,
        signals::SCENARIOS,
        wakeups::SCENARIOS,
        pages::SCENARIOS,
        inodes::SCENARIOS,
        huge::SCENARIOS,
        reset::SCENARIOS,
        evict::SCENARIOS,
        unpinned::SCENARIOS,
    ];
    files.into_iter().flatten()
}
