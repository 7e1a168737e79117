// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bench reclaim`: what a window's reclaim costs, in guests. The measuring is
//! `dax-reclaim`'s.

mod args;
pub(super) mod guests;
mod run;

pub use args::{AccelArg, ReclaimArgs, window};
pub use run::run;
