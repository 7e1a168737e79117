// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Conditions that must hold after every input.
//!
//! | oracle | it fails when an input |
//! |---|---|
//! | [`time`] | takes more than a second of processor time |
//! | [`memory`] | leaves memory behind, or allocates more at once than it may |
//! | [`descriptors`] | leaves a descriptor open |
//! | [`identity`] | leaves its thread another user, umask or directory |
//!
//! [`crate::ground`] checks that an input does not leave the share. An oracle fails by a panic.

pub mod descriptors;
pub mod identity;
pub mod logging;
pub mod memory;
pub mod time;

use identity::Identity;

/// How often an input is repeated that leaves something behind. A cache or a buffer that is filled
/// once is no leak; something that grows each time is.
const AGAIN: usize = 3;

/// The resources of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Holdings {
    bytes: isize,
    descriptors: usize,
}

impl Holdings {
    fn now() -> Self {
        let descriptors = descriptors::open();
        Self {
            bytes: memory::live(),
            descriptors,
        }
    }

    fn exceeds(self, other: Self) -> bool {
        self.bytes > other.bytes || self.descriptors > other.descriptors
    }
}

/// Plays an input, and checks what it leaves behind.
///
/// # Panics
/// If it leaves something behind.
/// When it leaves something behind.
pub fn judge(input: impl Fn()) {
    logging::install();
    // The file system sets this umask.
    rustix::process::umask(rustix::fs::Mode::empty());
    let identity = Identity::of_this_thread();
    let mut before = Holdings::now();
    for round in 0..=AGAIN {
        time::limit(&input);
        memory::check_largest();
        identity.check();
        let after = Holdings::now();
        if !after.exceeds(before) {
            return;
        }
        assert!(
            round < AGAIN,
            "each time that the input is played it leaves something behind: {before:?} became \
             {after:?}"
        );
        before = after;
    }
}
