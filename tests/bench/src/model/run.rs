// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A whole run.

use std::{fs, thread};

use serde::{Deserialize, Serialize};

use super::{Point, Verdict};

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
    /// daxlab's command line.
    pub command: Vec<String>,
    /// The machine.
    pub host: Host,
    /// How it was measured.
    pub settings: Settings,
    /// What was compared.
    pub sides: Vec<Side>,
    /// What was found.
    pub points: Vec<Point>,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The processor's name.
    pub cpu: String,
    /// Processors that could be used.
    pub cores: u32,
    /// The kernel's release.
    pub kernel: String,
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// The load when the run began: how many tasks ran in the minute before.
    pub load: f64,
    /// The file system that was shared.
    pub share_fs: String,
}

/// How it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Turns of each side at each point.
    pub rounds: u32,
    /// How long a turn is, in seconds, for what is repeated until time is up.
    pub seconds: f64,
    /// What of each turn is not counted, in seconds, beside a whole turn before the first.
    pub lead_in: f64,
}

/// One of those that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Its name in points.
    pub name: String,
    /// What it is.
    pub about: String,
    /// The daemon's command line; empty if it is none.
    pub command: Vec<String>,
}

impl Host {
    /// This machine.
    pub fn here(share_fs: String) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        let load = read("/proc/loadavg");
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".into()),
            cores: thread::available_parallelism().map_or(1, |count| count.get() as u32),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: kib.unwrap_or(0) / 1024,
            load: load
                .split(' ')
                .next()
                .and_then(|text| text.parse().ok())
                .unwrap_or(0.0),
            share_fs,
        }
    }
}

impl Run {
    /// How many aims have each verdict: met, unsure, missed.
    pub fn tally(&self) -> [usize; 3] {
        let aims = || self.points.iter().flat_map(|point| &point.aims);
        [Verdict::Met, Verdict::Unsure, Verdict::Missed]
            .map(|verdict| aims().filter(|aim| aim.verdict == verdict).count())
    }
}
