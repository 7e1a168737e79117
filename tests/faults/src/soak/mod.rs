// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! All faults in random order, determined by a seed.
//!
//! A soak is a sequence of episodes. An episode is a fault of the table, or a walk: random steps on
//! a random rig, with a random end. Each has one or more daemons of its own. Its seed follows from
//! the soak's seed and the episode's number, so any episode can be repeated alone. The seed
//! determines everything except the timing of the daemon's threads, so an episode that failed by a
//! race may have to be repeated several times.

mod ending;
mod journal;
mod run;
mod step;
mod walk;

pub use journal::Journal;
pub use run::{Failure, SoakOptions, Summary, run};
