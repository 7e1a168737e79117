// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab merge`: the shards of a run, or runs of other kernels, as one report.

mod args;
mod combine;
mod error;
mod run;

pub use args::MergeArgs;
pub use combine::{Merged, merge};
pub use error::MergeError;
pub use run::run;

#[cfg(test)]
mod tests;
