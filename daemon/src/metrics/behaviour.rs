// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How the VMM treats its window, as far as it is known ([`crate::window::locate`]).
//!
//! Any thread may read this at any time. An unknown answer counts as QEMU 11.1's, which demands the
//! most of a daemon.

use std::sync::atomic::{AtomicU8, Ordering};

/// A question about the VMM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Trait {
    /// The VMM changes the size of files that it maps, or refuses short ones.
    NeedsViews,
    /// A read-only mapping can't be written.
    EnforcesReadOnly,
    /// Each mapping is a memory region of the VM.
    UsesRegions,
    /// The VMM answers when a mapping is in effect.
    AnswersAfterEffect,
}

impl Trait {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [
        Self::NeedsViews,
        Self::EnforcesReadOnly,
        Self::UsesRegions,
        Self::AnswersAfterEffect,
    ];

    /// The value of the label `trait`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NeedsViews => "needs_views",
            Self::EnforcesReadOnly => "enforces_read_only",
            Self::UsesRegions => "uses_regions",
            Self::AnswersAfterEffect => "answers_after_effect",
        }
    }

    /// The meaning of an answer, for the log.
    fn sentence(self, answer: bool) -> &'static str {
        match (self, answer) {
            (Self::NeedsViews, true) => {
                "the VMM changes the size of what it maps, or refuses what is short: it needs views"
            }
            (Self::NeedsViews, false) => "the VMM maps files as they are, so no views are needed",
            (Self::EnforcesReadOnly, true) => {
                "the VMM maps for reading only what is to be read only"
            }
            (Self::EnforcesReadOnly, false) => "the VMM maps nothing for reading only",
            (Self::UsesRegions, true) => "each mapping takes a memory region of the VM",
            (Self::UsesRegions, false) => {
                "mappings take no memory regions of the VM, so there is no limit of them"
            }
            (Self::AnswersAfterEffect, true) => {
                "the VMM answers when a mapping is in effect, so nothing more is asked"
            }
            (Self::AnswersAfterEffect, false) => {
                "the VMM answers before a mapping is in effect, so a second request has to prove it"
            }
        }
    }
}

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// The answers so far.
#[derive(Debug, Default)]
pub struct Behaviour([AtomicU8; Trait::ALL.len()]);

impl Behaviour {
    /// Whether the VMM has this trait; None if that is not known.
    #[must_use]
    pub fn get(&self, of: Trait) -> Option<bool> {
        match self.0[of as usize].load(Ordering::Acquire) {
            YES => Some(true),
            NO => Some(false),
            _ => None,
        }
    }

    /// Records whether the VMM has this trait; None if that is not known any more.
    pub fn set(&self, of: Trait, answer: Option<bool>) {
        let number = match answer {
            None => UNKNOWN,
            Some(false) => NO,
            Some(true) => YES,
        };
        self.0[of as usize].store(number, Ordering::Release);
    }

    /// Replaces all answers by those of `found`, and logs a sentence for each new answer. `daxlab
    /// doctor` finds the sentences by the name of this module in the log (`qemu/src/vm/window.rs`).
    pub(crate) fn replace(&self, found: &Self) {
        for of in Trait::ALL {
            let answer = found.get(of);
            if answer != self.get(of) {
                match answer {
                    Some(answer) => log::info!("{}", of.sentence(answer)),
                    None => log::info!("whether the VMM {} is not known any more", of.name()),
                }
            }
            self.set(of, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Behaviour, Trait};

    #[test]
    fn each_answer_is_kept_by_itself() {
        let behaviour = Behaviour::default();
        for of in Trait::ALL {
            assert_eq!(behaviour.get(of), None);
        }
        for of in Trait::ALL {
            for answer in [Some(true), Some(false), None, Some(true)] {
                behaviour.set(of, answer);
                assert_eq!(behaviour.get(of), answer, "{of:?}");
            }
        }
        let found = Behaviour::default();
        found.set(Trait::UsesRegions, Some(false));
        behaviour.replace(&found);
        let kept = Trait::ALL.map(|of| behaviour.get(of));
        assert_eq!(kept, [None, None, Some(false), None]);
    }
}
