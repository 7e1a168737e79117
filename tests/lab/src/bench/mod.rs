// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bench`: how fast the daemon is. `dax-bench` measures.

mod args;
mod instructions;
mod memory;
mod reclaim;
mod reports;
mod run;
mod tree;

pub use args::BenchArgs;
pub use run::run;
