// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The settings of a measurement.

use std::path::Path;

use anyhow::{Result, ensure};
use virtiofs_driver::Waiting;

use crate::{
    model::Suite,
    samples::Length,
    system::{Affinity, Program},
};

/// The settings of a measurement.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// The daemon.
    pub daemon: &'a Program,
    /// The peer.
    pub peer: Option<&'a Program>,
    /// The numbers of request queues that the daemon runs with.
    pub queues: &'a [u8],
    /// How long one more side, the daemon with one queue, watches it before it sleeps.
    pub poll: Option<u16>,
    /// The length of the measurement.
    pub length: Length,
    /// Whether the run only shows that all points can be measured.
    pub quick: bool,
    /// The folder of the shared files.
    pub place: &'a Path,
    /// How the driver waits.
    pub waiting: Waiting,
    /// The placement of sides with one queue.
    pub affinity: Affinity,
    /// Whether a point is selected, by its suite and name.
    pub wants: &'a dyn Fn(Suite, &str) -> bool,
    /// Whether to go on. Called before each turn.
    pub goes_on: &'a dyn Fn() -> bool,
    /// Called with the next step.
    pub progress: &'a dyn Fn(&str),
}

impl Plan<'_> {
    /// The side that the others are compared with: the peer, or the daemon itself.
    pub fn reference(&self) -> String {
        self.peer.unwrap_or(self.daemon).name.clone()
    }

    /// Fails if the measurement has to end.
    ///
    /// # Errors
    ///
    /// If it has to end.
    pub fn go_on(&self) -> Result<()> {
        ensure!((self.goes_on)(), "measuring was stopped");
        Ok(())
    }
}
