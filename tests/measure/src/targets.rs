// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Targets and whether they are met. A missed target fails no run: a target applies to one machine,
//! and an uncertain verdict is shown as such.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{quantity, stats::Estimate, words};

/// A target of a point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The side that it applies to.
    pub side: String,
    /// The measure and the reference: `rate / virtiofsd`.
    pub of: String,
    /// The aim.
    pub bound: Bound,
    /// The measured value.
    pub found: Estimate,
    /// Whether the target is met.
    pub verdict: Verdict,
}

/// A bound for a number.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// The number must not be below this.
    AtLeast(f64),
    /// The number must not be above this.
    AtMost(f64),
}

words! {
    /// Whether a target is met.
    Verdict {
        /// The whole interval meets the bound.
        Met = "met",
        /// The bound is within the interval.
        Unsure = "unsure",
        /// The whole interval misses the bound.
        Missed = "missed",
    }
}

impl Bound {
    /// The verdict on an estimate.
    pub fn verdict(self, found: Estimate) -> Verdict {
        let (good, bad) = match self {
            Self::AtLeast(bound) => (found.low >= bound, found.high < bound),
            Self::AtMost(bound) => (found.high <= bound, found.low > bound),
        };
        match (good, bad) {
            (true, _) => Verdict::Met,
            (_, true) => Verdict::Missed,
            _ => Verdict::Unsure,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
        }
    }
}

impl Verdict {
    /// The name in documents, where a missed target stands out.
    pub fn in_markdown(self) -> &'static str {
        match self {
            Self::Missed => "**missed**",
            other => other.name(),
        }
    }

    /// The class on pages.
    pub(crate) fn tone(self) -> &'static str {
        match self {
            Self::Met => "good",
            Self::Unsure => "dim",
            Self::Missed => "bad",
        }
    }
}

impl Target {
    /// A target with its verdict.
    pub fn new(
        side: impl Into<String>,
        of: impl Into<String>,
        bound: Bound,
        found: Estimate,
    ) -> Self {
        Self {
            side: side.into(),
            of: of.into(),
            bound,
            verdict: bound.verdict(found),
            found,
        }
    }
}

/// `daxd: rate / virtiofsd ≥ 1.3: 1.21 [1.20 1.24]`, without the verdict.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = quantity::interval(self.found);
        write!(f, "{}: {} {}: {found}", self.side, self.of, self.bound)
    }
}

/// How many targets have each verdict: `3 met, 0 unsure, 1 missed`, and whether none is missed.
pub(crate) fn tally<'a>(targets: impl Iterator<Item = &'a Target> + Clone) -> (String, bool) {
    let [met, unsure, missed] = [Verdict::Met, Verdict::Unsure, Verdict::Missed]
        .map(|verdict| targets.clone().filter(|one| one.verdict == verdict).count());
    let text = format!("{met} met, {unsure} unsure, {missed} missed");
    (text, missed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_the_interval_s() {
        let found = Estimate {
            median: 1.3,
            low: 1.2,
            high: 1.4,
        };
        for (bound, verdict) in [
            (Bound::AtLeast(1.2), Verdict::Met),
            (Bound::AtLeast(1.3), Verdict::Unsure),
            (Bound::AtLeast(1.41), Verdict::Missed),
            (Bound::AtMost(1.4), Verdict::Met),
            (Bound::AtMost(1.3), Verdict::Unsure),
            (Bound::AtMost(1.19), Verdict::Missed),
        ] {
            assert_eq!(bound.verdict(found), verdict, "{bound}");
        }
        assert_eq!(
            Bound::AtMost(8.0).verdict(Estimate::exact(8.0)),
            Verdict::Met
        );
    }
}
