// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a run found, as it stands in its `results.json`; `docs/results.md` describes it.

use dax_bench::model::{Aim, Bound, Host};
use dax_bench::stats::{Estimate, median, paired_ratio};
use serde::{Deserialize, Serialize};

use crate::model::{Guests, SideInfo};

/// The version of the format.
pub const SCHEMA: u32 = 1;
/// Whom sides are compared with.
pub(super) const REFERENCE: &str = "virtiofsd";
/// Turns from which on an aim has a verdict.
const SURE_FROM: usize = 3;
/// How much longer a chore may take.
const AT_MOST: f64 = 1.05;

/// Everything that a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TreeRun {
    /// The version of this format.
    pub schema: u32,
    /// daxlab's version.
    pub lab_version: String,
    /// When it began: UTC, RFC 3339.
    pub started: String,
    /// How long it took, in seconds.
    pub took_s: u64,
    /// daxlab's command line.
    pub command: Vec<String>,
    /// The machine.
    pub host: Host,
    /// What all guests have in common.
    pub guests: Guests,
    /// Turns of each side.
    pub rounds: u32,
    /// Size of the window, in bytes.
    pub window: u64,
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What was compared.
    pub sides: Vec<SideInfo>,
    /// What was found.
    pub chores: Vec<ChoreResult>,
}

/// A chore with empty or with warm caches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChoreResult {
    /// What people call it.
    pub chore: String,
    /// The guest's caches before it: empty or warm.
    pub caches: String,
    /// How long it took by each side.
    pub times: Vec<Times>,
    /// Time against the reference's, of turns that were played one after the other.
    pub ratios: Vec<(String, Estimate)>,
    /// What it should reach.
    pub aims: Vec<Aim>,
}

/// How long it took, turn by turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// By whom.
    pub side: String,
    /// Seconds of each turn.
    pub seconds: Vec<f64>,
    /// Processor time of the daemon's processes, in seconds of each turn.
    pub daemon_cpu_s: Vec<f64>,
}

impl Times {
    pub(super) fn of(side: &str) -> Self {
        Self {
            side: side.to_owned(),
            seconds: Vec::new(),
            daemon_cpu_s: Vec::new(),
        }
    }

    pub(super) fn median(&self) -> f64 {
        median(&self.seconds).unwrap_or(0.0)
    }
}

impl ChoreResult {
    /// With ratios and aims.
    pub(super) fn new(chore: &str, caches: &str, times: Vec<Times>) -> Self {
        let reference = times.iter().find(|one| one.side == REFERENCE);
        let ratio = |one: &Times| {
            let ratio = paired_ratio(&one.seconds, &reference?.seconds)?;
            (one.side != REFERENCE).then(|| (one.side.clone(), ratio))
        };
        let ratios: Vec<_> = times.iter().filter_map(ratio).collect();
        // Of fewer turns there is no interval that says something.
        let enough = times.iter().all(|one| one.seconds.len() >= SURE_FROM);
        let aim = |(side, ratio): &(String, Estimate)| {
            Aim::new(
                side,
                format!("time / {REFERENCE}"),
                Bound::AtMost(AT_MOST),
                *ratio,
            )
        };
        Self {
            chore: chore.to_owned(),
            caches: caches.to_owned(),
            aims: ratios.iter().filter(|_| enough).map(aim).collect(),
            ratios,
            times,
        }
    }
}
