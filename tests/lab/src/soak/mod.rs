// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab soak`: all faults in random order, by a seed. The faults are those of `daemon-faults`.

mod args;
mod run;

pub use args::SoakArgs;
pub use run::run;
