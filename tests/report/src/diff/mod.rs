// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab diff`: what changed between two runs.

mod args;
mod compare;
mod run;
mod show;

pub use args::DiffArgs;
pub use compare::{Change, Changes, Slower, compare};
pub use run::run;

#[cfg(test)]
mod tests;
