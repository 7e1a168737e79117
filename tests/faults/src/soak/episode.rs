// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! An episode: a fault of the table, or a walk.

use anyhow::Result;
use fastrand::Rng;

use super::Journal;
use super::walk;
use crate::fault::{Fault, Setting};
use crate::faults;

/// The average number of walks for each fault of the table.
const WALKS: u32 = 3;

/// An episode.
pub(super) struct Episode {
    setting: Setting,
    fault: Option<&'static Fault>,
}

impl Episode {
    /// Draws an episode by its seed.
    pub(super) fn draw(setting: Setting) -> Self {
        let mut rng = Rng::with_seed(setting.seed);
        let short: Vec<_> = faults::all().filter(|fault| fault.soak).collect();
        let walk = rng.u32(0..=WALKS) > 0;
        let fault = if walk { None } else { rng.choice(short) };
        Self { setting, fault }
    }

    /// Its name.
    pub(super) fn kind(&self) -> String {
        self.fault.map_or("walk", |fault| fault.name).to_owned()
    }

    /// Plays it.
    pub(super) fn play(&mut self, journal: &mut Journal) -> Result<()> {
        match self.fault {
            Some(fault) => {
                journal.step(fault.name.to_owned());
                (fault.play)(&self.setting)
            }
            None => walk::play(&self.setting, journal),
        }
    }
}
