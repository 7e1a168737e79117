// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The types of a test: either a scenario of its own, or one of a group that shares a guest.

use std::fmt;
use std::pin::Pin;

use anyhow::Result;

use crate::lab::{Boot, Host, Lab};

/// The work of a test; an error is its failure.
pub type Work<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// The error of a test that can't be played here, with the reason. It is reported as a skip.
#[derive(Debug)]
pub struct Skip(pub String);

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Skip {}

/// A test that shares its guest with other tests, so it leaves the guest and the shares usable.
pub struct Scenario {
    /// Short name, unique in its group.
    pub name: &'static str,
    /// The test.
    pub run: for<'a> fn(&'a Lab<'_>) -> Work<'a>,
}

/// A test that starts and ends all that it needs.
pub struct Alone {
    /// Short name, unique in its group.
    pub name: &'static str,
    /// The test.
    pub run: for<'a> fn(&'a Host) -> Work<'a>,
}

/// Tests that belong together.
pub struct Group {
    /// The prefix of the tests' names.
    pub name: &'static str,
    /// The tests.
    pub tests: Tests,
}

/// How a group's tests get their guest.
pub enum Tests {
    /// One boot for all of them. The orderly end of the guest and its daemons is one more test.
    Together {
        /// What to boot.
        boot: fn() -> Result<Boot>,
        /// In the order of execution.
        scenarios: &'static [Scenario],
    },
    /// Each test starts its own guest.
    Alone(&'static [Alone]),
}

/// Lists async functions as [`Scenario`]s or [`Alone`]s, named as the functions are.
#[macro_export]
macro_rules! tests {
    ($kind:ident: $($function:path),+ $(,)?) => {
        &[$($crate::scenario::$kind {
            name: $crate::scenario::last_word(stringify!($function)),
            run: |argument| Box::pin($function(argument)),
        }),+]
    };
}

/// The part of a path after its last colon.
pub const fn last_word(path: &'static str) -> &'static str {
    let bytes = path.as_bytes();
    let mut from = bytes.len();
    while from > 0 && bytes[from - 1] != b':' && bytes[from - 1] != b' ' {
        from -= 1;
    }
    path.split_at(from).1
}
