// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Parts of a run that is distributed over machines.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// One part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// The index from 0, as in a Kubernetes indexed Job.
    pub index: u32,
    /// The number of parts.
    pub of: u32,
}

/// A text is no shard.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no part: use I/N with I from 0 to N - 1, such as 0/4")]
pub struct ShardError(String);

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let parsed = text.split_once('/').and_then(|(index, of)| {
            let (index, of) = (index.parse().ok()?, of.parse().ok()?);
            (index < of).then_some(Self { index, of })
        });
        parsed.ok_or_else(|| ShardError(text.to_owned()))
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl Shard {
    /// Every N-th element, so that each part has some of each kind. If there are more parts than
    /// elements, some parts are empty.
    pub fn part<T>(self, all: Vec<T>) -> Vec<T> {
        let (index, of) = (self.index as usize, self.of as usize);
        all.into_iter().skip(index).step_by(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_all_of_it_once() {
        let shards = ["0/3", "1/3", "2/3"].map(|text| text.parse::<Shard>().unwrap());
        let mut parts: Vec<u32> = shards
            .iter()
            .flat_map(|shard| shard.part((0..10).collect()))
            .collect();
        parts.sort_unstable();
        assert!(parts.into_iter().eq(0..10));
        for wrong in ["3/3", "1", "a/2", "0/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
