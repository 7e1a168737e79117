// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What must hold after every input, whatever it was.
//!
//! | oracle | it fails when an input |
//! |---|---|
//! | [`time`] | takes more than a second of processor time |
//! | [`memory`] | leaves memory behind, or allocates more at once than it may |
//! | [`descriptors`] | leaves a descriptor open |
//! | [`identity`] | leaves its thread another user, umask or directory |
//!
//! That a share is not left is [`crate::ground`]'s. An oracle fails by a panic.

pub mod descriptors;
pub mod identity;
pub mod logging;
pub mod memory;
pub mod time;

use identity::Identity;

/// An input that leaves something behind is played again so often: what is filled once (a cache, a
/// thread's buffer) is no leak, what grows each time is.
const AGAIN: usize = 3;

/// What a process has.
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

/// Plays an input and judges what it leaves behind.
///
/// # Panics
/// When it leaves something behind.
pub fn judge(input: impl Fn()) {
    logging::install();
    // As the file system makes it.
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
