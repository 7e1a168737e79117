// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All cells of one `daxlab test`, and the host that they ran on.

#![expect(missing_docs, reason = "docs/results.md describes each field")]

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Cell, Verdict};
use crate::{Shard, Stored};

/// The version of the format that is written and read. An added field does not change it.
pub const SCHEMA: u32 = 1;

/// One run of the lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub schema: u32,
    pub lab_version: String,
    pub started: String,
    pub host: Host,
    pub command: Vec<String>,
    pub shard: Option<Shard>,
    pub cells: Vec<Cell>,
}

/// The host of the guests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    pub cpu: String,
    pub cores: u32,
    pub accel: String,
    pub qemu: String,
    pub kernel: String,
}

/// The overall result of a run, or of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// All results are as expected.
    Expected,
    /// At least one result is unexpected.
    Unexpected,
    /// The lab itself failed, so at least one result is missing.
    LabFailed,
}

/// The number of cells for each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub passed: usize,
    /// Failures that are known of the kernel. They are among those that passed.
    pub known: usize,
    /// Cells that are known to fail on the kernel and did not.
    pub fixed: usize,
    pub failed: usize,
    pub skipped: usize,
    pub lab_errors: usize,
}

impl Totals {
    /// Counts cells.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let mut totals = Self::default();
        for cell in cells {
            totals.known += usize::from(cell.is_known_failure());
            *match cell.verdict {
                Verdict::Expected => &mut totals.passed,
                Verdict::Fixed => &mut totals.fixed,
                Verdict::Unexpected => &mut totals.failed,
                Verdict::Skipped => &mut totals.skipped,
                Verdict::LabError => &mut totals.lab_errors,
            } += 1;
        }
        totals
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            fixed,
            failed,
            skipped,
            lab_errors,
            known: _,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")?;
        if *fixed > 0 {
            write!(f, ", {fixed} fixed")?;
        }
        if *lab_errors > 0 {
            write!(f, "; the lab itself failed in {lab_errors}")?;
        }
        Ok(())
    }
}

impl Stored for Run {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab";
}

impl Run {
    /// The number of cells for each verdict.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.cells)
    }

    /// The overall result: a failure of the lab goes before an unexpected result.
    pub fn conclusion(&self) -> Conclusion {
        let totals = self.totals();
        if totals.lab_errors > 0 {
            Conclusion::LabFailed
        } else if totals.failed > 0 {
            Conclusion::Unexpected
        } else {
            Conclusion::Expected
        }
    }

    /// The kernels' labels, in the order of their first cells.
    pub fn kernels(&self) -> Vec<&str> {
        let mut kernels = Vec::new();
        for cell in &self.cells {
            if !kernels.contains(&cell.kernel.as_str()) {
                kernels.push(cell.kernel.as_str());
            }
        }
        kernels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::fixture;

    #[test]
    fn the_worst_cell_is_the_run_s_status() {
        let mut run = fixture::small();
        assert_eq!(run.conclusion(), Conclusion::LabFailed);
        run.cells.pop();
        assert_eq!(run.conclusion(), Conclusion::Unexpected);
        run.cells.remove(2);
        assert_eq!(run.conclusion(), Conclusion::Expected);
        assert_eq!(fixture::all_skipped().conclusion(), Conclusion::Expected);
        run.cells[0].verdict = Verdict::Fixed;
        assert_eq!(run.conclusion(), Conclusion::Expected);
        let totals = run.totals().to_string();
        assert!(totals.ends_with(", 1 fixed"), "{totals}");
    }
}
