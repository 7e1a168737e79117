// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab top`: a daemon's window and rates in a terminal.
//!
//! It asks a daemon that was started with `--metrics` for `/window.json` (its manual is
//! `daemon/docs/metrics.md`) and draws it, or prints it once. What the daemon says came from a
//! guest in part, the names of files above all: it is made harmless before it is printed.

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
