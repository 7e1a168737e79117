// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window against its model, which is the one of shared-window's own property test.
//!
//! An input is played on one of two levels. `library`: requests to the window itself, with failures
//! at both of its seams. `daemon`: FUSE messages to the daemon, mixed with all other operations of
//! a guest on the same files.
//!
//! Checked after each step: the errno is the model's; the window's table, the VMM's mappings and
//! the model have the same ranges; and every byte in the window or in a file is the model's. See
//! also [`crate::oracles`] and [`crate::fixture`].

mod daemon;
mod library;
mod model;
mod seeds;

use super::{Target, noticed};
use crate::fault::Fault;
use crate::fixture;
use crate::input::{Program, decode};
use crate::oracles;

crate::operations! {
    /// The level on which the rest of the input is played.
    enum Level {
        /// The window itself.
        Library {},
        /// The daemon.
        Daemon {},
    }
}

/// The target.
pub(super) const TARGET: Target = Target {
    name: "window",
    run,
    seeds: seeds::seeds,
    faults: &[
        noticed(Fault::ForgetMapping, "daemon-remove", "the VMM's mappings"),
        // The same fault, below the daemon.
        noticed(Fault::ForgetMapping, "library-0", "expected Expected"),
    ],
};

/// Plays an input.
fn run(data: &[u8]) {
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
            oracles::judge(|| fixture::run(|fixture| daemon::play(fixture, &program.0)));
        }
        None => {}
    }
}
