// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab test`: runs the lab's cases on guests and reports the outcomes.

mod apart;
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

pub(crate) use apart::{Ended, play};
pub use args::{HeldToArg, TestArgs};
pub(crate) use guests::{Ending, why};
pub(crate) use host::describe as describe_host;
pub(crate) use mounts::of_our_own as mounts_of_our_own;
pub use run::run;
