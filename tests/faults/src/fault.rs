// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The type of a fault.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;

/// A fault, and the expected reaction of the daemon.
pub struct Fault {
    /// `family::what_happens`.
    pub name: &'static str,
    /// Causes the fault and checks the result.
    pub play: fn(&Setting) -> Result<()>,
    /// Whether the soak runs it too; false if it takes seconds.
    pub soak: bool,
}

/// The settings of a fault.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The daemon under test.
    pub daemon: PathBuf,
    /// The source of all random decisions.
    pub seed: u64,
}

impl Fault {
    /// A fault that the soak runs too.
    pub const fn new(name: &'static str, play: fn(&Setting) -> Result<()>) -> Self {
        let soak = true;
        Self { name, play, soak }
    }

    /// A fault that takes too long for the soak.
    pub const fn long(name: &'static str, play: fn(&Setting) -> Result<()>) -> Self {
        let soak = false;
        Self { name, play, soak }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
