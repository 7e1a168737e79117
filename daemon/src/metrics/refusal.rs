// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Reasons of refused mappings, as they are counted.

use super::counters::Counter;

/// A reason for which a SETUPMAPPING was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    /// The file cannot be opened for reading and writing.
    Open,
    /// The file cannot be viewed.
    View,
    /// The VM has no memory region left, or the window no range.
    RegionBudget,
    /// The range overlaps a live mapping of another range.
    Overlap,
    /// The range or the place in the file is invalid.
    Bounds,
    /// The state of the range at the VMM is unknown.
    Indeterminate,
    /// The VMM failed.
    Vmm,
}

impl Refusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::View,
        Self::RegionBudget,
        Self::Overlap,
        Self::Bounds,
        Self::Indeterminate,
        Self::Vmm,
    ];

    /// The value of the label `reason`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::View => "view",
            Self::RegionBudget => "region_budget",
            Self::Overlap => "overlap",
            Self::Bounds => "bounds",
            Self::Indeterminate => "indeterminate",
            Self::Vmm => "vmm",
        }
    }
}

/// Refusals by their reasons.
#[derive(Debug, Default)]
pub struct Refusals([Counter; Refusal::ALL.len()]);

impl Refusals {
    /// Refusals for any reason.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.0.iter().map(Counter::get).sum()
    }

    /// Refusals for this reason.
    #[must_use]
    pub fn of(&self, reason: Refusal) -> &Counter {
        &self.0[reason as usize]
    }
}
