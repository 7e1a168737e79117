// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab top`: a daemon's window and rates in a terminal.
//!
//! It asks a daemon that was started with `--metrics` for `/window.json` (documented in
//! `daemon/docs/metrics.md`) and draws the answer, or prints it once. The guest controls parts of
//! the answer, above all the names of files, so control characters are replaced before printing.

mod address;
mod args;
mod client;
mod grid;
mod history;
mod numbers;
mod run;
mod screen;
mod seen;
mod text;

pub use args::TopArgs;
pub use run::run;
