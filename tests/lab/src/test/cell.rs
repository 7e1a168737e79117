// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From what was played to a line of the results.

use dax_cases::cases::{Case, KernelKind};
use lab_report::model::{Cell, Evidence, Outcome, Verdict};

use super::guests::Played;

/// What is known before a case is played.
pub struct Frame<'a> {
    /// The case.
    pub case: Case,
    /// The kernel's name on the command line.
    pub kernel: &'a str,
    /// Its own name for itself.
    pub release: &'a str,
    /// What is known of it.
    pub kind: KernelKind,
    /// Which repetition, from 1.
    pub repetition: u32,
}

impl Frame<'_> {
    /// The cell.
    pub fn cell(self, played: Played, seconds: f64) -> Cell {
        let Self { case, .. } = self;
        let expected = case.expected(self.kind);
        let (outcome, why, evidence) = match played {
            Played::Seen(seen) => (seen.outcome(), seen.why(), seen.evidence),
            Played::Died { why, console } => {
                let evidence = Evidence {
                    console_tail: console,
                    ..Evidence::default()
                };
                let why = why.lines().next().unwrap_or_default().to_owned();
                (Outcome::VmDied, why, evidence)
            }
            Played::Failed(error) => {
                return self.framed(
                    expected,
                    Outcome::NotRun,
                    Verdict::LabError,
                    format!("{error:#}"),
                    Evidence::default(),
                    seconds,
                );
            }
        };
        let verdict = if expected.contains(&outcome) {
            Verdict::Expected
        } else {
            Verdict::Unexpected
        };
        self.framed(expected, outcome, verdict, why, evidence, seconds)
    }

    fn framed(
        self,
        expected: Vec<Outcome>,
        outcome: Outcome,
        verdict: Verdict,
        why: String,
        evidence: Evidence,
        seconds: f64,
    ) -> Cell {
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
            expected,
            outcome,
            verdict,
            why,
            evidence,
            seconds,
        }
    }
}
