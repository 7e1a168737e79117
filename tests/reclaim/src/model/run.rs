// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A whole run.

use dax_bench::model::{Host, Verdict};
use serde::{Deserialize, Serialize};

use super::PointResult;

/// The version of `results.json`.
pub const SCHEMA: u32 = 1;

/// Everything that a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
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
    /// How it was measured.
    pub settings: Settings,
    /// What was compared.
    pub sides: Vec<SideInfo>,
    /// What was found.
    pub points: Vec<PointResult>,
}

/// What all guests have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guests {
    /// QEMU's version.
    pub qemu: String,
    /// What runs their processors: tcg or kvm.
    pub accel: String,
    /// Processors of each.
    pub cpus: u16,
    /// Memory of each, in MiB.
    pub memory_mib: u64,
    /// Their kernels.
    pub kernels: Vec<Kernel>,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    /// As it was asked for.
    pub spec: String,
    /// Its own name for itself.
    pub release: String,
}

/// How it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Turns of each side at each point.
    pub rounds: u32,
    /// How long a warm turn is, in seconds.
    pub seconds: f64,
    /// The window that working sets are multiples of, in bytes.
    pub window: u64,
}

/// One of those that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SideInfo {
    /// Its name in points.
    pub name: String,
    /// What it is.
    pub about: String,
    /// The daemon's command line; empty if there is none.
    pub command: String,
}

impl Run {
    /// How many aims have each verdict: met, unsure, missed.
    pub fn tally(&self) -> [usize; 3] {
        let aims = || self.points.iter().flat_map(|point| &point.aims);
        [Verdict::Met, Verdict::Unsure, Verdict::Missed]
            .map(|verdict| aims().filter(|aim| aim.verdict == verdict).count())
    }
}
