// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Makes a line of the results from a case that was run.

use dax_cases::cases::{Case, KernelKind, Observation, Vmm};
use dax_measure::lab::{Cell, Evidence, Outcome, Verdict};

use super::guests::{Ending, Kernel};

/// The parts of a cell that are known before the case is run.
pub struct Frame<'a> {
    /// The case.
    pub case: Case,
    /// The kernel's name on the command line.
    pub kernel: &'a str,
    /// The kernel's own release name.
    pub release: &'a str,
    /// The kind of kernel.
    pub kind: KernelKind,
    /// What happens to a QEMU that loses a page.
    pub vmm: Vmm,
    /// The repetition, counted from 1.
    pub repetition: u32,
}

impl<'a> Frame<'a> {
    /// The frame of a case on a kernel.
    pub fn of(kernel: &'a Kernel, case: Case, repetition: u32) -> Self {
        Self {
            case,
            kernel: &kernel.label,
            release: kernel.parts.release(),
            kind: kernel.kind,
            vmm: kernel.vmm,
            repetition,
        }
    }

    /// The cell of a case that was run.
    pub fn cell(self, ending: Ending, seen: Observation, seconds: f64) -> Cell {
        let (outcome, why) = match ending {
            Ending::Complete => (seen.outcome(), seen.why()),
            Ending::Died(why) => (Outcome::VmDied, why),
            Ending::Broken(why) => (Outcome::Complained, format!("the kernel's console: {why}")),
            Ending::Failed(error) => (Outcome::NotRun, format!("{error:#}")),
        };
        let expected = self.case.expected(self.kind, self.vmm);
        let verdict = match outcome {
            Outcome::NotRun => Verdict::LabError,
            outcome if expected.contains(&outcome) => Verdict::Expected,
            _ => Verdict::Unexpected,
        };
        Cell {
            outcome,
            verdict,
            evidence: seen.evidence,
            seconds,
            ..self.skipped(&why)
        }
    }

    /// The cell of a case that was skipped, with the reason.
    pub fn skipped(self, why: &str) -> Cell {
        let Self { case, .. } = self;
        Cell {
            case: case.name(),
            kernel: self.kernel.to_owned(),
            release: self.release.to_owned(),
            fs: case.fs().name().to_owned(),
            pin: case.pin().map(|pin| pin.name().to_owned()),
            removal: case.removal().map(|removal| removal.name().to_owned()),
            repetition: self.repetition,
            contract: case.contract(),
            expected: case.expected(self.kind, self.vmm),
            outcome: Outcome::NotRun,
            verdict: Verdict::Skipped,
            why: why.to_owned(),
            evidence: Evidence::default(),
            seconds: 0.0,
        }
    }
}
