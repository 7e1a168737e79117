// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs episodes one after another until the time is up.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use fastrand::Rng;

use super::{Journal, walk};
use crate::fault::{Fault, Setting};
use crate::faults;

/// The settings of a soak.
pub struct SoakOptions {
    /// The daemon under test.
    pub daemon: PathBuf,
    /// The source of all random decisions.
    pub seed: u64,
    /// The first episode.
    pub episode: u64,
    /// No episode starts after this time.
    pub time: Duration,
    /// Called with the progress so far; false ends the soak.
    pub goes_on: Box<dyn FnMut(&Summary) -> bool>,
}

/// The summary of a soak without a failure.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Episodes.
    pub episodes: u64,
    /// Steps of all of them.
    pub steps: u64,
    /// How often each kind of episode was played.
    pub kinds: std::collections::BTreeMap<String, u64>,
}

/// An episode that failed.
#[derive(Debug)]
pub struct Failure {
    /// Its number.
    pub episode: u64,
    /// The kind of episode.
    pub kind: String,
    /// Its last steps.
    pub journal: Journal,
    /// The error.
    pub error: anyhow::Error,
}

/// Runs episodes until the time is up, or until `goes_on` ends the soak.
///
/// # Errors
/// The first episode that failed.
pub fn run(options: &mut SoakOptions) -> Result<Summary, Box<Failure>> {
    let end = Instant::now() + options.time;
    let mut summary = Summary::default();
    let mut number = options.episode;
    while Instant::now() < end && (options.goes_on)(&summary) {
        let setting = Setting {
            daemon: options.daemon.clone(),
            seed: episode_seed(options.seed, number),
        };
        let mut journal = Journal::default();
        let mut episode = Episode::draw(setting);
        let kind = episode.kind();
        log::info!("episode {number}: {kind}");
        if let Err(error) = episode.play(&mut journal) {
            return Err(Box::new(Failure {
                episode: number,
                kind,
                journal,
                error,
            }));
        }
        summary.episodes += 1;
        summary.steps += journal.steps();
        *summary.kinds.entry(kind).or_default() += 1;
        number += 1;
    }
    Ok(summary)
}

/// The seed of an episode, from the soak's seed and the episode's number.
fn episode_seed(seed: u64, number: u64) -> u64 {
    // Neighbouring numbers get unrelated seeds: Knuth's multiplicative hash, and then the
    // generator.
    fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).u64(..)
}

/// The average number of walks for each fault of the table.
const WALKS: u32 = 3;

/// An episode.
struct Episode {
    setting: Setting,
    fault: Option<&'static Fault>,
}

impl Episode {
    /// Draws an episode by its seed.
    fn draw(setting: Setting) -> Self {
        let mut rng = Rng::with_seed(setting.seed);
        let short: Vec<_> = faults::all().filter(|fault| fault.soak).collect();
        let walk = rng.u32(0..=WALKS) > 0;
        let fault = if walk { None } else { rng.choice(short) };
        Self { setting, fault }
    }

    /// Its name.
    fn kind(&self) -> String {
        self.fault.map_or("walk", |fault| fault.name).to_owned()
    }

    /// Plays it.
    fn play(&mut self, journal: &mut Journal) -> Result<()> {
        match self.fault {
            Some(fault) => {
                journal.step(fault.name.to_owned());
                (fault.play)(&self.setting)
            }
            None => walk::play(&self.setting, journal),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::episode_seed;

    #[test]
    fn a_seed_and_a_number_are_one_episode() {
        let seeds: BTreeSet<_> = (0..1000).map(|number| episode_seed(7, number)).collect();
        assert_eq!(seeds.len(), 1000);
        assert_eq!(episode_seed(7, 3), episode_seed(7, 3));
        assert_ne!(episode_seed(7, 3), episode_seed(8, 3));
    }
}
