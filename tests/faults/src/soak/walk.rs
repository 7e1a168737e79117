// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Random steps on a random rig, with a random end.

use anyhow::Result;
use fastrand::Rng;

use super::Journal;
use super::ending::Ending;
use super::ground::{self, Share};
use super::step::Step;
use crate::fault::Setting;
use crate::rig::Rig;

/// The most steps of a walk.
const LONGEST: u32 = 120;
/// Steps between two full comparisons.
const BETWEEN_LOOKS: u32 = 25;

/// Plays one walk.
pub(super) fn play(setting: &Setting, journal: &mut Journal) -> Result<()> {
    let mut rng = Rng::with_seed(setting.seed);
    let share = Share::draw(&mut rng)?;
    let options = ground::options(&mut rng, &share);
    journal.step(format!("start on {share:?}: {options:?}"));
    let mut rig = Rig::start(setting, &options)?;
    let steps = rng.u32(1..=LONGEST);
    for number in 1..=steps {
        if let Some(step) = Step::draw(&mut rig, &share) {
            journal.step(format!("{step:?}"));
            step.play(&mut rig, &share)?;
        }
        if number % BETWEEN_LOOKS == 0 {
            rig.verify()?;
        }
    }
    let ending = Ending::draw(&mut rig);
    journal.step(format!("{ending:?}"));
    ending.play(rig)
}
