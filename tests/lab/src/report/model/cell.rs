// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One case on one kernel, once.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Contract, Evidence, Outcome, Verdict};

/// What the names of the matrix's cases begin with; all others are named cases.
const MATRIX: &str = "matrix::";

/// One repetition of one case on one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// `matrix::FS::PIN::REMOVAL`, or the name of a named case such as `munmap-hides-pin::fuse`.
    pub case: String,
    /// The kernel as it was asked for: `debian:6.12`, `build:6.12+seed`, a bzImage's path.
    pub kernel: String,
    /// The kernel's `uname -r`; empty if no guest came up.
    pub release: String,
    /// The file system: `fuse`, `ext4` or `xfs`.
    pub fs: String,
    /// The kind of pin, if the case has one.
    pub pin: Option<String>,
    /// The kind of removal, if the case has one.
    pub removal: Option<String>,
    /// Counted from 1.
    pub repetition: u32,
    /// What the removal owes.
    pub contract: Contract,
    /// The outcomes that are right on this kernel.
    pub expected: Vec<Outcome>,
    /// What was seen.
    pub outcome: Outcome,
    /// What that is worth.
    pub verdict: Verdict,
    /// One sentence: what the verdict rests on, or the reason of a skip.
    pub why: String,
    /// What was recorded.
    pub evidence: Evidence,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl Cell {
    /// Its name within a run: case, kernel and repetition.
    pub fn id(&self) -> String {
        let repetition = self.repetition;
        format!("{}#{repetition}", self.key())
    }

    /// What its repetitions, and the same cell in other runs, have in common.
    pub fn key(&self) -> CellKey<'_> {
        CellKey {
            case: &self.case,
            kernel: &self.kernel,
        }
    }

    /// The matrix's row (pin) and column (removal) within its file system; `None` for a named case.
    pub fn place(&self) -> Option<(&str, &str)> {
        if !self.case.starts_with(MATRIX) {
            return None;
        }
        Some((self.pin.as_deref()?, self.removal.as_deref()?))
    }
}

/// A case on a kernel, whatever the repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey<'a> {
    /// See [`Cell::case`].
    pub case: &'a str,
    /// See [`Cell::kernel`].
    pub kernel: &'a str,
}

impl fmt::Display for CellKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.case, self.kernel)
    }
}
