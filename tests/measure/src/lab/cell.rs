// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One repetition of a case on one kernel, and the evidence for its outcome.

#![expect(missing_docs, reason = "docs/results.md describes each field")]

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Contract, Outcome, Verdict};

/// The prefix of the names of the matrix's cases. All other cases are named cases.
const MATRIX: &str = "matrix::";

/// One repetition of one case on one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    pub case: String,
    pub kernel: String,
    pub release: String,
    pub fs: String,
    pub pin: Option<String>,
    pub removal: Option<String>,
    pub repetition: u32,
    pub contract: Contract,
    pub expected: Vec<Outcome>,
    pub outcome: Outcome,
    pub verdict: Verdict,
    pub why: String,
    pub evidence: Evidence,
    pub seconds: f64,
}

impl Cell {
    /// Its name within a run: case, kernel and repetition.
    pub fn id(&self) -> String {
        let repetition = self.repetition;
        format!("{}#{repetition}", self.key())
    }

    /// The key that its repetitions, and the same cell in other runs, have in common.
    pub fn key(&self) -> CellKey<'_> {
        CellKey {
            case: &self.case,
            kernel: &self.kernel,
        }
    }

    /// Whether the kernel did what the contract asks for; of a known limit, what is known.
    pub fn is_right(&self) -> bool {
        match self.contract {
            Contract::KnownLimit => self.verdict == Verdict::Expected,
            contract => {
                let judged = matches!(self.verdict, Verdict::Fixed | Verdict::Expected);
                judged && contract.allows(self.outcome)
            }
        }
    }

    /// Whether the cell failed as this kernel is known to (XFAIL).
    pub fn is_known_failure(&self) -> bool {
        self.verdict == Verdict::Expected && !self.contract.allows(self.outcome)
    }

    /// The matrix's row (pin) and column (removal) within its file system; `None` for a named case.
    pub fn place(&self) -> Option<(&str, &str)> {
        if !self.case.starts_with(MATRIX) {
            return None;
        }
        Some((self.pin.as_deref()?, self.removal.as_deref()?))
    }
}

/// A case on a kernel, without the repetition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CellKey<'a> {
    pub case: &'a str,
    pub kernel: &'a str,
}

impl fmt::Display for CellKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.case, self.kernel)
    }
}

/// The records of a cell. A field that does not apply is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    pub steps: Vec<String>,
    pub stack: Option<String>,
    pub where_it_stood: Vec<String>,
    pub wake_us: Vec<u64>,
    pub wake_guest_us: Vec<u64>,
    pub vain_wakeups: Option<u64>,
    pub guest_log: String,
    pub console_tail: String,
    pub new_owner: Option<String>,
    pub harm: Option<String>,
    pub complaints: Vec<String>,
    pub overlap: Option<String>,
}
