// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All cells of one `daxlab test`, and where they were made.

use std::{fmt, time::SystemTime};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::{Cell, Verdict};

/// The schema that this version writes and reads. Fields that are only added leave it as it is.
pub const SCHEMA: u32 = 1;

/// One run of the lab.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// [`SCHEMA`].
    pub schema: u32,
    /// daxlab's version.
    pub lab_version: String,
    /// When it began: UTC, as RFC 3339 writes it.
    pub started: String,
    /// Where it ran.
    pub host: Host,
    /// daxlab's command line.
    pub command: Vec<String>,
    /// Which part of the cells these are, if not all.
    pub shard: Option<Shard>,
    /// In the order of the case table, so that reports have its order.
    pub cells: Vec<Cell>,
}

/// The machine under the guests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The processor's name.
    pub cpu: String,
    /// How many processors the lab could use.
    pub cores: u32,
    /// What ran the guests' processors: `kvm` or `tcg`.
    pub accel: String,
    /// QEMU's version.
    pub qemu: String,
    /// The host kernel's `uname -r`.
    pub kernel: String,
}

/// One part of a run that is spread over machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// From 0, as a Kubernetes indexed Job counts.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// What a run, or a comparison of two, comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// All is as expected.
    Expected,
    /// Something is not.
    Unexpected,
    /// The lab itself failed, so something is not known.
    LabFailed,
}

/// How many cells came to which verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// [`Verdict::Expected`].
    pub passed: usize,
    /// [`Verdict::Unexpected`].
    pub failed: usize,
    /// [`Verdict::Skipped`].
    pub skipped: usize,
    /// [`Verdict::LabError`].
    pub lab_errors: usize,
}

impl Totals {
    /// Counts.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Self {
        let mut totals = Self::default();
        for cell in cells {
            *match cell.verdict {
                Verdict::Expected => &mut totals.passed,
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
            failed,
            skipped,
            lab_errors,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")?;
        if *lab_errors > 0 {
            write!(f, "; the lab itself failed in {lab_errors}")?;
        }
        Ok(())
    }
}

/// A time as [`Run::started`] has it.
pub fn utc(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl Run {
    /// How many cells came to which verdict.
    pub fn totals(&self) -> Totals {
        Totals::of(&self.cells)
    }

    /// The sum of it: a failure of the lab counts before an unexpected result.
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
    use std::time::Duration;

    use super::*;
    use crate::fixture;

    #[test]
    fn times_are_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_066_000_500);
        assert_eq!(utc(time), "2025-11-25T10:20:00Z");
    }

    #[test]
    fn the_worst_cell_is_the_run_s_status() {
        let mut run = fixture::small();
        assert_eq!(run.conclusion(), Conclusion::LabFailed);
        run.cells.pop();
        assert_eq!(run.conclusion(), Conclusion::Unexpected);
        run.cells.remove(2);
        assert_eq!(run.conclusion(), Conclusion::Expected);
        assert_eq!(fixture::all_skipped().conclusion(), Conclusion::Expected);
    }
}
