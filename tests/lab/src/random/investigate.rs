// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Makes a program small that shows something, and counts how often it shows it.

use std::time::{Duration, Instant};

use anyhow::Result;
use dax_random::{Deviation, Played, Program, Shrinker};

use super::guest::Guest;

/// Plays of the program as it was found, to see how sure it is.
const FIRST_PLAYS: u32 = 3;
/// How often a smaller program is played until it shows it, if it does not each time.
const TRIES: u32 = 4;
/// After this time the smallest program so far is the result: a hang or a lost guest takes half a
/// minute a play.
const LIMIT: Duration = Duration::from_secs(600);

/// A program that has been made small.
pub struct Small {
    /// The program.
    pub program: Program,
    /// What came otherwise, when it was last seen to.
    pub deviation: Option<Deviation>,
    /// How often it showed it, of how many plays.
    pub rate: (u32, u32),
}

/// The deviations that were seen in a play, by their signatures.
pub fn seen(played: &Played) -> impl Iterator<Item = (String, &Deviation)> {
    let known = played.known.iter();
    let known = known.map(|(signature, (deviation, _))| (signature.clone(), deviation));
    let last = played.deviation.iter();
    known.chain(last.map(|deviation| (deviation.signature(), deviation)))
}

/// Makes a program small that shows a signature.
///
/// # Errors
///
/// If the lab fails.
pub async fn investigate(
    guest: &mut Guest<'_>,
    program: &Program,
    signature: &str,
    times: u32,
) -> Result<Small> {
    let deadline = Instant::now() + LIMIT;
    let (first, _) = plays(guest, program, signature, FIRST_PLAYS).await?;
    let sure = first == FIRST_PLAYS;
    let tries = if sure { 1 } else { TRIES };
    let mut shrinker = Shrinker::new(program.clone());
    while Instant::now() < deadline
        && let Some(proposal) = shrinker.propose()
    {
        for _ in 0..tries {
            if shows(guest, &proposal, signature).await?.is_some() {
                shrinker.accept(proposal);
                break;
            }
        }
    }
    let program = shrinker.best().clone();
    let (shown, deviation) = plays(guest, &program, signature, times).await?;
    Ok(Small {
        program,
        deviation,
        rate: (shown, times),
    })
}

async fn plays(
    guest: &mut Guest<'_>,
    program: &Program,
    signature: &str,
    times: u32,
) -> Result<(u32, Option<Deviation>)> {
    let (mut shown, mut last) = (0, None);
    for _ in 0..times {
        let deviation = shows(guest, program, signature).await?;
        shown += u32::from(deviation.is_some());
        last = deviation.or(last);
    }
    Ok((shown, last))
}

async fn shows(
    guest: &mut Guest<'_>,
    program: &Program,
    signature: &str,
) -> Result<Option<Deviation>> {
    let played = guest.play(program).await?;
    let mut seen = seen(&played);
    let found = seen.find(|(found, _)| found == signature);
    Ok(found.map(|(_, deviation)| deviation.clone()))
}
