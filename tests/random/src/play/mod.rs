// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Plays a program on a guest, step by step beside the model, and says what came otherwise.

mod acts;
mod bytes;
mod call;
mod check;
mod end;
mod pins;
mod player;
mod settle;

use std::collections::BTreeMap;

use anyhow::Result;
use dax_cases::host::Rig;

use crate::deviation::Deviation;
use crate::program::Program;
use player::Player;

/// What came of a program.
#[derive(Debug, Default)]
pub struct Played {
    /// What came otherwise than the model says. It ends the program.
    pub deviation: Option<Deviation>,
    /// Complaints of the kernel that are known, and that the program went on after: how many of
    /// each signature, with the first.
    pub known: BTreeMap<String, (Deviation, u32)>,
    /// The step that was begun last: its number, counted from 1, and its word.
    pub at: (usize, &'static str),
    /// The guest is of no use any more.
    pub wedged: bool,
    /// What was done and seen.
    pub steps: Vec<String>,
}

/// Plays a program. What was seen before a failure is kept in `played`.
///
/// # Errors
///
/// If the lab fails, or the guest dies.
pub async fn play(rig: &mut Rig, program: &Program, played: &mut Played) -> Result<()> {
    let mut player = Player::set_up(rig, program, played).await?;
    player.run().await
}
