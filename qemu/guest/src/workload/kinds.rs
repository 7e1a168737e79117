// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How a working set is accessed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Files, PAGE};

/// By which means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// read(2).
    Read,
    /// write(2) over what is there.
    Write,
    /// A load from each page of a mapping.
    Load,
    /// A store to each page of a mapping.
    Store,
    /// write(2) at the end of files that grow by it.
    Extend,
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// From the first byte to the last, again and again.
    Sequential,
    /// Any block as likely as any other.
    Random,
    /// Pieces of a range's size by Zipf's law, any block in them.
    Zipf,
}

/// What a turn begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Temperature {
    /// The guest has nothing cached and nothing mapped; one pass is made.
    Cold,
    /// The guest has accessed all of it once before, in sequence; as many passes are made as there is time for.
    Warm,
}

/// What one turn does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Work {
    /// By which means.
    pub access: Access,
    pub pattern: Pattern,
    /// What it begins with.
    pub temperature: Temperature,
    pub files: Files,
    /// By how many threads at once.
    pub threads: u32,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Read,
        Self::Write,
        Self::Load,
        Self::Store,
        Self::Extend,
    ];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Load => "load",
            Self::Store => "store",
            Self::Extend => "extend",
        }
    }

    /// Whether it is by a mapping.
    pub fn is_mapped(self) -> bool {
        matches!(self, Self::Load | Self::Store)
    }

    /// Whether it changes the files.
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Store | Self::Extend)
    }
}

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sequential, Self::Random, Self::Zipf];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "seq",
            Self::Random => "random",
            Self::Zipf => "zipf",
        }
    }
}

impl Temperature {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
        }
    }
}

impl Work {
    /// Bytes of one access. In sequence a program takes large blocks; at random small ones. By a
    /// mapping it is always a page, of which a word is loaded or stored.
    pub fn block(&self) -> u64 {
        match (self.access, self.pattern) {
            (Access::Load | Access::Store, _) => PAGE,
            (_, Pattern::Sequential) => 64 << 10,
            _ => PAGE,
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
