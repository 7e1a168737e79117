// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One episode after the other, until the time is up.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Journal, episode};
use crate::fault::Setting;

/// What is to be done.
pub struct SoakOptions {
    /// The daemon under test.
    pub daemon: PathBuf,
    /// Where everything random comes from.
    pub seed: u64,
    /// The first episode.
    pub episode: u64,
    /// No episode is begun after that.
    pub time: Duration,
    /// Or when this says no, which is told what has been done.
    pub goes_on: Box<dyn FnMut(&Summary) -> bool>,
}

/// A soak that found nothing.
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
    /// What it was.
    pub kind: String,
    /// Its last steps.
    pub journal: Journal,
    /// What was not as it has to be.
    pub error: anyhow::Error,
}

/// Plays episodes until the time is up, or it is told to stop.
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
        let mut episode = episode::Episode::draw(setting);
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

/// Of a soak's seed and an episode's number.
fn episode_seed(seed: u64, number: u64) -> u64 {
    // Neighbours have nothing in common: Knuth's multiplicative hash, and what the generator does.
    fastrand::Rng::with_seed(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).u64(..)
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
