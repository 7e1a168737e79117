// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window against its model: the one that shared-window's own property test has.
//!
//! An input is played on one of two levels. `library`: requests to the window itself, with
//! failures at both of its seams. `daemon`: FUSE messages to the daemon, with everything else that
//! a guest does to the same files in between.
//!
//! Checked after each step: the errno is the model's, the window's table, the VMM's mappings and the
//! model have the same ranges, and every byte that is seen through the window or in a file is the
//! model's. And see [`crate::oracles`] and [`crate::ground`].

pub(crate) mod daemon;
pub(crate) mod library;
mod model;

use crate::ground;
use crate::input::{Program, decode};
use crate::oracles;

crate::operations! {
    /// On which level the rest of the input is played.
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
