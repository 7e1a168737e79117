// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Figures and reports, shared by the benchmarks and the regression lab.
//!
//! ```text
//! turns ─▶ samples ─▶ stats: medians, p99, ratios with their intervals ─▶ targets: met or missed
//!                                      │
//! a benchmark's Run ─▶ Sheet ─▶ table.txt, a document's numbers, report.html
//!            └────────▶ results.json ◀── read
//! a lab's Run ─▶ lab: the matrix, KTAP, JUnit, report.html, results.json; diff, merge
//! ```
//!
//! No code here measures, or judges a case of the lab.

mod colour;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
pub mod lab;
mod page;
pub mod plot;
pub mod quantity;
mod results;
mod rounds;
mod run;
mod shard;
mod sheet;
pub mod stats;
mod table;
mod targets;
mod text;
mod words;

pub use colour::Colour;
pub use results::{RESULTS, ReportError, Results, Stored, put, read};
pub use rounds::{Order, Turn, turns};
pub use run::{Guests, Head, Host, Kernel, Side, utc};
pub use shard::{Shard, ShardError};
pub use sheet::{Line, Place, Section, Sheet};
pub use table::{Row, Table};
pub use targets::{Bound, Target, Verdict};
