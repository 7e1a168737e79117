// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window against its model, which is the one of shared-window's own property test.
//!
//! An input is played on one of two levels. `library`: requests to the window itself, with failures
//! at both of its seams. `daemon`: FUSE messages to the daemon, mixed with all other operations of
//! a guest on the same files.
//!
//! Checked after each step: the errno is the model's; the window's table, the VMM's mappings and
//! the model have the same ranges; and every byte in the window or in a file is the model's. See
//! also [`crate::oracles`] and [`crate::ground`].

pub(crate) mod daemon;
pub(crate) mod library;
mod model;

use crate::ground;
use crate::input::{Program, decode};
use crate::oracles;

crate::operations! {
    /// The level on which the rest of the input is played.
    pub(crate) enum Level {
        /// The window itself.
        Library {},
        /// The daemon.
        Daemon {},
    }
}

/// Plays an input.
///
/// # Panics
/// If an oracle fails.
/// When an oracle fails.
pub fn run(data: &[u8]) {
    let Some((level, rest)) = data.split_first() else {
        return;
    };
    match decode::<Level>(&[*level]) {
        Some(Level::Library {}) => {
            let Some(program) = decode::<Program<library::Request>>(rest) else {
                return;
            };
            oracles::judge(|| library::play(&program.0));
        }
        Some(Level::Daemon {}) => {
            let Some(program) = decode::<Program<daemon::Operation>>(rest) else {
                return;
            };
            oracles::judge(|| ground::play(|ground| daemon::play(ground, &program.0)));
        }
        None => {}
    }
}
