// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How long turns are, and how many there are.

use std::time::Duration;

/// How a point is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    /// Turns of each side.
    pub rounds: u32,
    /// What is counted of a turn.
    pub turn: Duration,
    /// What is done before that in each turn: caches and clock rates are the other side's at first.
    pub lead_in: Duration,
}

impl Length {
    /// `rounds` turns of `turn`, each after a tenth of that which is not counted.
    pub fn new(rounds: u32, turn: Duration) -> Self {
        Self {
            rounds,
            turn,
            lead_in: turn / 10,
        }
    }
}
