// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a removal owes, what it did, and what that is worth.

use crate::words;

words! {
    /// What the removal owes to the holder of the pin.
    Contract {
        /// It must not return before the pin is released.
        MustWait = "must-wait",
        /// It may return under the pin, because it takes no blocks away.
        MayProceed = "may-proceed",
        /// The pin or the removal must be refused with an error.
        MustRefuse = "must-refuse",
        /// It can't be right on this host; what happens instead is known and written down.
        KnownLimit = "known-limit",
    }
}

words! {
    /// What was seen.
    Outcome {
        /// It was blocked in the right function until the release, then went on; all bytes are right.
        Waited = "waited",
        /// It returned under the pin, and no harm was seen.
        Proceeded = "proceeded",
        /// It returned under the pin, and stray DMA or a leak of other data was seen.
        Harmed = "harmed",
        /// It returned an error.
        Refused = "refused",
        /// It did not return after the release.
        Stuck = "stuck",
        /// The guest's kernel wrote WARN, BUG, KASAN or a hung task.
        Complained = "complained",
        /// The virtual machine ended.
        VmDied = "vm-died",
        /// A case without a pin and a removal that waits ended as it should.
        Finished = "finished",
        /// There is none: the cell was skipped, or the lab failed before there was one.
        NotRun = "not-run",
    }
}

impl Outcome {
    /// Whether it did harm, even where it was expected.
    pub fn is_harmful(self) -> bool {
        matches!(
            self,
            Self::Harmed | Self::Stuck | Self::Complained | Self::VmDied
        )
    }
}

words! {
    /// What the outcome is worth. The later in this list, the worse; of the repetitions of a cell the
    /// worst counts.
    Verdict {
        /// It was not tried; `why` has the reason.
        Skipped = "skipped",
        /// The outcome is one of those expected.
        Expected = "expected",
        /// The outcome is none of those expected.
        Unexpected = "unexpected",
        /// The lab failed, so nothing is known about the kernel.
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
