// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Cases with a course of their own, most of them bugs of Linux, each with its expected outcome.
//!
//! A story's file holds all of it. The numbers are those of the list that the lab began with. The
//! letters are findings of the lab. `docs/findings.md` goes through both.

mod blocks;
mod contention;
mod crowd;
mod hidden;
mod host_side;
mod lone;
mod many;
mod props;
mod race;
mod refault;
mod refused;
mod signals;
mod stall;
mod wakeups;
mod window;

use anyhow::Result;
use dax_measure::lab::{Contract, Outcome};
use futures::future::LocalBoxFuture;

use super::{KernelKind, Observation};
use crate::host::{FileSystem, Rig};

/// A case with a course of its own.
pub struct Story {
    /// Its name.
    pub name: &'static str,
    /// The number or letter of the section of `docs/findings.md` about this story on such a kernel;
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
    /// The accepted outcomes.
    pub expected: fn(KernelKind, FileSystem) -> Vec<Outcome>,
    /// Runs the story.
    pub play: Play,
}

/// The function that runs a story.
pub type Play =
    for<'a> fn(&'a mut Rig, FileSystem, &'a mut Observation) -> LocalBoxFuture<'a, Result<()>>;

/// Names an async function as a [`Play`].
macro_rules! play {
    ($function:path) => {
        |rig, fs, seen| Box::pin($function(rig, fs, seen))
    };
}
use play;

/// All stories.
pub fn all() -> impl Iterator<Item = &'static Story> {
    let files = [
        hidden::STORIES,
        contention::STORIES,
        blocks::STORIES,
        crowd::STORIES,
        lone::STORIES,
        stall::STORIES,
        many::STORIES,
        host_side::STORIES,
        window::STORIES,
        refault::STORIES,
        refused::STORIES,
        signals::STORIES,
        wakeups::STORIES,
    ];
    files.into_iter().flatten()
}
