// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a run found, as it stands in its `results.json`; `docs/results.md` describes it.

use dax_bench::model::Host;
use serde::{Deserialize, Serialize};

use super::Account;
use crate::model::Guests;

/// The version of the format.
pub const SCHEMA: u32 = 1;

/// Everything that a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRun {
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
    /// Size of the file, in bytes.
    pub file: u64,
    /// What was found.
    pub series: Vec<Series>,
}

/// More and more guests of one side that read by the same means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Who serves the file.
    pub side: String,
    /// What that is.
    pub about: String,
    /// By which means the guests read it.
    pub access: String,
    /// The first guest's daemon's command line; empty if there is none.
    pub command: String,
    /// What was found, from few guests to many.
    pub points: Vec<Point>,
}

/// So many guests that have read the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// How many.
    pub guests: usize,
    /// By how much everything has grown while they read, one after the other.
    pub grown: Account,
    /// What there is then, with what booting them took.
    pub total: Account,
}
