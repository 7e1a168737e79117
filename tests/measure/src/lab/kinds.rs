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
        /// It returned under the pin, without visible harm.
        Proceeded = "proceeded",
        /// It returned under the pin, and stray DMA or a leak of other data was detected.
        Harmed = "harmed",
        /// It returned an error.
        Refused = "refused",
        /// It did not return after the release.
        Stuck = "stuck",
        /// The guest's kernel logged WARN, BUG, KASAN or a hung task.
        Complained = "complained",
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
            Self::Harmed | Self::Stuck | Self::Complained | Self::VmDied
        )
    }
}

words! {
    /// The verdict on an outcome, from the best to the worst. The worst repetition of a cell
    /// counts.
    Verdict {
        /// The cell was not tried; `why` has the reason.
        Skipped = "skipped",
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
    fn names_are_those_of_the_file() {
        let written = |outcome: &Outcome| serde_json::to_value(outcome).unwrap();
        for outcome in Outcome::ALL {
            assert_eq!(written(outcome), outcome.name());
        }
        assert_eq!(written(&Outcome::VmDied), "vm-died");
    }
}
