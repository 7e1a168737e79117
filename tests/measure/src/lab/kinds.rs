// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The contract of a removal, its outcome, and the verdict.

use crate::words;

words! {
    /// The removal's duty to the holder of the pin.
    Contract {
        /// It must not return before the pin is released.
        MustWait = "must-wait",
        /// It may return under the pin, because it takes no blocks.
        MayProceed = "may-proceed",
        /// The pin or the removal must be refused with an error.
        MustRefuse = "must-refuse",
        /// It can't be right on this host. What happens instead is known and documented.
        KnownLimit = "known-limit",
    }
}

words! {
    /// The outcome of a case.
    Outcome {
        /// It was blocked in the right function until the release, and then went on. All bytes are
        /// right.
        Waited = "waited",
        /// It was blocked in the right function, and returned before the release.
        Early = "early",
        /// As `waited`, but it was woken while the page was still in use.
        Spurious = "spurious",
        /// It returned under the pin, without visible harm.
        Proceeded = "proceeded",
        /// It returned under the pin, and stray DMA or a leak of other data was detected.
        Harmed = "harmed",
        /// It returned an error.
        Refused = "refused",
        /// It did not return after the release: it still slept where it had waited for the page.
        Stuck = "stuck",
        /// It hung at another place than where it waits for the page.
        Hung = "hung",
        /// The guest's kernel logged WARN, BUG, KASAN or a hung task, and went on.
        Complained = "complained",
        /// The guest's kernel panicked.
        Panicked = "panicked",
        /// The virtual machine ended.
        VmDied = "vm-died",
        /// A case without a pin and a waiting removal ended as it should.
        Finished = "finished",
        /// No outcome: the cell was skipped, or the lab failed first.
        NotRun = "not-run",
    }
}

impl Outcome {
    /// Whether the outcome is harmful, even if it was expected.
    pub fn is_harmful(self) -> bool {
        matches!(
            self,
            Self::Early
                | Self::Harmed
                | Self::Stuck
                | Self::Hung
                | Self::Complained
                | Self::Panicked
                | Self::VmDied
        )
    }
}

impl Contract {
    /// Whether an outcome fulfils the contract. A known limit can't be fulfilled.
    pub fn allows(self, outcome: Outcome) -> bool {
        use Outcome::{Finished, Proceeded, Refused, Spurious, Waited};
        match self {
            Self::MustWait => matches!(outcome, Waited | Finished),
            Self::MayProceed => matches!(outcome, Proceeded | Waited | Spurious | Finished),
            Self::MustRefuse => outcome == Refused,
            Self::KnownLimit => false,
        }
    }

    /// All outcomes that fulfil the contract.
    pub fn outcomes(self) -> Vec<Outcome> {
        let all = Outcome::ALL.iter().copied();
        all.filter(|outcome| self.allows(*outcome)).collect()
    }
}

words! {
    /// The verdict on an outcome, from the best to the worst. The worst repetition of a cell
    /// counts.
    Verdict {
        /// The cell was not tried; `why` has the reason.
        Skipped = "skipped",
        /// The outcome fulfils the contract, although this kernel is known not to (XPASS).
        Fixed = "fixed",
        /// The outcome is one of those expected.
        Expected = "expected",
        /// The outcome is none of those expected.
        Unexpected = "unexpected",
        /// The lab failed, so the result says nothing about the kernel.
        LabError = "lab-error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_fulfilled_by_the_right_outcomes_only() {
        assert_eq!(
            Contract::MustWait.outcomes(),
            [Outcome::Waited, Outcome::Finished]
        );
        assert_eq!(Contract::MustRefuse.outcomes(), [Outcome::Refused]);
        assert!(Contract::KnownLimit.outcomes().is_empty());
        for outcome in Outcome::ALL.iter().filter(|outcome| outcome.is_harmful()) {
            for contract in Contract::ALL {
                assert!(!contract.allows(*outcome), "{outcome:?}");
            }
        }
    }

    #[test]
    fn names_are_those_of_the_file() {
        let written = |outcome: &Outcome| serde_json::to_value(outcome).unwrap();
        for outcome in Outcome::ALL {
            assert_eq!(written(outcome), outcome.name());
        }
        assert_eq!(written(&Outcome::VmDied), "vm-died");
    }
}
