// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Makes a line of the results from a case that was run.

use dax_cases::cases::{Case, Ended, HeldTo, KernelKind, Observation, Vmm};
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
    /// What the kernel is held to.
    pub held_to: HeldTo,
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
            held_to: kernel.held_to,
            repetition,
        }
    }

    /// The cell of a case that was run.
    pub fn cell(self, ending: Ending, mut seen: Observation, seconds: f64) -> Cell {
        let mut signal = None;
        let (outcome, why) = match ending {
            Ending::Complete => (seen.outcome(), seen.why()),
            Ending::Died { signal: by, why } => {
                signal = by;
                (Outcome::VmDied, why)
            }
            Ending::Broken {
                outcome,
                complaints,
                why,
            } => {
                seen.complaints = complaints;
                (outcome, format!("the kernel's console: {why}"))
            }
            Ending::Lacking(why) => return self.skipped(&why),
            Ending::Failed(error) => (Outcome::NotRun, format!("{error:#}")),
        };
        let ended = Ended {
            outcome,
            seen: &seen,
            signal,
        };
        let judged = self.case.judge(self.kind, self.vmm, self.held_to, &ended);
        let complaints = seen.complaints.iter().map(ToString::to_string);
        seen.evidence.complaints = complaints.collect();
        Cell {
            outcome,
            verdict: judged.verdict,
            evidence: seen.evidence,
            seconds,
            ..self.skipped(&judged.otherwise.unwrap_or(why))
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
            expected: case.accepted(self.kind, self.vmm, self.held_to),
            outcome: Outcome::NotRun,
            verdict: Verdict::Skipped,
            why: why.to_owned(),
            evidence: Evidence::default(),
            seconds: 0.0,
        }
    }
}
