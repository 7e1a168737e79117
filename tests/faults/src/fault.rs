// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a fault is.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;

/// One way in which something goes wrong, and what is expected of the daemon.
pub struct Fault {
    /// `family::what_happens`.
    pub name: &'static str,
    /// Brings it about and checks what comes of it.
    pub play: fn(&Setting) -> Result<()>,
    /// Whether the soak plays it too: not what takes seconds.
    pub soak: bool,
}

/// What a fault is played with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The daemon under test.
    pub daemon: PathBuf,
    /// All random decisions come from it.
    pub seed: u64,
}

impl Fault {
    /// A fault that the soak plays too.
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
