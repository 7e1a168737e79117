// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The targets. A target is one file with all that belongs to it: its inputs, how they are played,
//! its seeds, and the faults that its oracles have to notice.

mod command_line;
mod fuse_chain;
mod idmap;
mod vhost_user;
mod virtqueue;
mod window;
mod xattrmap;

use crate::fault::Fault;
use crate::input::{Encode, encode};

/// All targets.
pub const ALL: &[Target] = &[
    fuse_chain::TARGET,
    virtqueue::TARGET,
    window::TARGET,
    vhost_user::TARGET,
    xattrmap::TARGET,
    idmap::TARGET,
    command_line::TARGET,
];

/// A fuzz target.
pub struct Target {
    /// Its name, which is also that of its corpus.
    pub name: &'static str,
    /// Plays one input. It panics if an oracle fails.
    pub run: fn(&[u8]),
    /// Makes the inputs that fuzzing starts from.
    pub seeds: fn() -> Vec<Seed>,
    /// The faults that an oracle of this target has to notice.
    pub faults: &'static [Noticed],
}

/// An input that fuzzing starts from, in the corpus as `seed-NAME`.
pub struct Seed {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A fault, and the oracle that notices it.
pub struct Noticed {
    /// The fault.
    pub fault: Fault,
    /// The seed in which the fault strikes.
    pub seed: &'static str,
    /// A part of the oracle's message.
    pub message: &'static str,
}

impl Seed {
    fn new(name: impl Into<String>, input: &impl Encode) -> Self {
        Self {
            name: name.into(),
            bytes: encode(input),
        }
    }

    /// Texts, named by their numbers.
    fn of_texts(texts: impl IntoIterator<Item = String>) -> Vec<Self> {
        let numbered = texts.into_iter().enumerate();
        numbered
            .map(|(number, text)| Self {
                name: number.to_string(),
                bytes: text.into_bytes(),
            })
            .collect()
    }
}

/// A row of [`Target::faults`].
const fn noticed(fault: Fault, seed: &'static str, message: &'static str) -> Noticed {
    Noticed {
        fault,
        seed,
        message,
    }
}

/// The target with this name.
pub fn named(name: &str) -> Option<&'static Target> {
    ALL.iter().find(|target| target.name == name)
}
