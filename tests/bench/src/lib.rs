// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What `daxlab bench` measures, and how it is told.
//!
//! ```text
//! io, map, window ─▶ turns of sides A B A B ─▶ Run ─▶ table, results.json, report.html
//!        │                                      ▲
//!        └─▶ daemons, driver                stats: medians, p99, ratios with their confidence
//! ```
//!
//! A *side* is one of those that are compared: a daemon, a way to read a file, the physical limit.
//! A *point* is one thing that all sides do in turn; a *round* is what one side did in one turn.

mod error;
pub mod files;
pub mod io;
pub mod map;
pub mod model;
mod plan;
pub mod report;
pub mod results;
pub mod sides;
pub mod stats;
pub mod turns;
pub mod window;

pub use error::BenchError;
pub use plan::Plan;
