// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab test`: runs the lab's cases on guests and reports the outcomes.

mod args;
mod cell;
mod guests;
mod host;
mod live;
mod logs;
mod mounts;
mod run;
mod schedule;
mod select;

pub use args::TestArgs;
pub use run::run;
