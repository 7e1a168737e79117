// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is to be measured.

use std::path::Path;

use anyhow::{Result, ensure};
use virtiofs_driver::Waiting;

use crate::{
    model::Suite,
    samples::Length,
    system::{Affinity, Program},
};

/// What is to be measured, and how.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// The daemon.
    pub daemon: &'a Program,
    /// What it is compared with.
    pub peer: Option<&'a Program>,
    /// With how many request queues the daemon runs.
    pub queues: &'a [u8],
    /// How long.
    pub length: Length,
    /// Whether it is only to be seen that all can be measured.
    pub quick: bool,
    /// Where the shared files are.
    pub place: &'a Path,
    /// How the driver waits.
    pub waiting: Waiting,
    /// Where sides with one queue run.
    pub affinity: Affinity,
    /// Whether a point is to be measured, by its suite and name.
    pub wants: &'a dyn Fn(Suite, &str) -> bool,
    /// Whether to measure on; it is asked before each turn.
    pub goes_on: &'a dyn Fn() -> bool,
    /// Is told what is measured next.
    pub progress: &'a dyn Fn(&str),
}

impl Plan<'_> {
    /// The side that others are compared with: the peer, or the daemon itself.
    pub fn reference(&self) -> String {
        self.peer.unwrap_or(self.daemon).name.clone()
    }

    /// Fails if measuring is to end.
    ///
    /// # Errors
    ///
    /// If it is.
    pub fn go_on(&self) -> Result<()> {
        ensure!((self.goes_on)(), "measuring was stopped");
        Ok(())
    }
}
