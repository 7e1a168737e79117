// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a removal owes, what it did, and what that is worth.

use serde::{Deserialize, Serialize};

/// What the removal owes to whoever holds the pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Contract {
    /// It must not return before the pin is released.
    MustWait,
    /// It may return under the pin, because it takes no blocks away.
    MayProceed,
    /// The pin or the removal must be refused with an error.
    MustRefuse,
    /// It can't be right on this host; what happens instead is known and written down.
    KnownLimit,
}

impl Contract {
    /// Its name in results.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::MustWait => "must-wait",
            Self::MayProceed => "may-proceed",
            Self::MustRefuse => "must-refuse",
            Self::KnownLimit => "known-limit",
        }
    }
}

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was blocked in the right function until the release, then went on; all bytes are right.
    Waited,
    /// It returned under the pin, and no harm was seen.
    Proceeded,
    /// It returned under the pin, and stray DMA or a leak of other data was seen.
    Harmed,
    /// It returned an error.
    Refused,
    /// It did not return after the release.
    Stuck,
    /// The guest's kernel wrote WARN, BUG, KASAN or a hung task.
    Complained,
    /// The virtual machine ended.
    VmDied,
    /// A case without a pin and a removal that waits ended as it should.
    Finished,
    /// There is none: the cell was skipped, or the lab failed before there was one.
    NotRun,
}

impl Outcome {
    /// Its name in results.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waited => "waited",
            Self::Proceeded => "proceeded",
            Self::Harmed => "harmed",
            Self::Refused => "refused",
            Self::Stuck => "stuck",
            Self::Complained => "complained",
            Self::VmDied => "vm-died",
            Self::Finished => "finished",
            Self::NotRun => "not-run",
        }
    }

    /// Whether somebody lost something by it, even where it was expected.
    pub fn is_harmful(self) -> bool {
        matches!(
            self,
            Self::Harmed | Self::Stuck | Self::Complained | Self::VmDied
        )
    }
}

/// What the outcome is worth. The later in this list, the worse; of the repetitions of a cell the
/// worst counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It was not tried; `why` has the reason.
    Skipped,
    /// The outcome is one of those expected.
    Expected,
    /// The outcome is none of those expected.
    Unexpected,
    /// The lab failed, so nothing is known about the kernel.
    LabError,
}

impl Verdict {
    /// Its name in results.json.
    pub fn name(self) -> &'static str {
        match self {
            Self::Skipped => "skipped",
            Self::Expected => "expected",
            Self::Unexpected => "unexpected",
            Self::LabError => "lab-error",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_file() {
        fn written(value: impl Serialize) -> serde_json::Value {
            serde_json::to_value(value).unwrap()
        }
        for contract in [
            Contract::MustWait,
            Contract::MayProceed,
            Contract::MustRefuse,
            Contract::KnownLimit,
        ] {
            assert_eq!(written(contract), contract.name());
        }
        for outcome in [
            Outcome::Waited,
            Outcome::Proceeded,
            Outcome::Harmed,
            Outcome::Refused,
            Outcome::Stuck,
            Outcome::Complained,
            Outcome::VmDied,
            Outcome::Finished,
            Outcome::NotRun,
        ] {
            assert_eq!(written(outcome), outcome.name());
        }
        for verdict in [
            Verdict::Skipped,
            Verdict::Expected,
            Verdict::Unexpected,
            Verdict::LabError,
        ] {
            assert_eq!(written(verdict), verdict.name());
        }
    }
}
