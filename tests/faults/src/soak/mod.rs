// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All faults at random, by a seed.
//!
//! A soak is a sequence of episodes. Each has a daemon of its own, or several, and a seed that
//! follows from the soak's and its number; so any episode can be played again by itself. It is a
//! fault of the table, or a walk: steps on a random rig, with a random end. Everything random
//! comes from the seed. What does not is how far the daemon's threads have got when something
//! happens to it: an episode that failed by a race may have to be played more than once.

mod ending;
mod episode;
mod ground;
mod journal;
mod run;
mod step;
mod walk;

pub use journal::Journal;
pub use run::{Failure, SoakOptions, Summary, run};
