// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab random`: plays programs that are drawn at random, and makes those small that show
//! something.

mod args;
mod guest;
mod hunt;
mod investigate;
mod report;
mod run;

pub use args::RandomArgs;
pub use run::run;
