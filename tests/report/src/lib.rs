// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a run of the regression lab found, and every way to tell it.
//!
//! ```text
//! runner ─▶ Run ─▶ write_all ─▶ results.json, report.html, junit.xml, results.ktap
//!            │  └─▶ Format::print ─▶ pretty (the matrix), ktap, json, junit
//!            └──── diff (two results.json), merge (the shards' results.json)
//! ```
//!
//! Nothing here runs a guest or judges a result: whoever makes the [`model::Cell`]s says what was
//! expected and whether it came so. `docs/results.md` describes results.json.

pub mod diff;
mod error;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
mod format;
mod grid;
mod groups;
pub mod html;
pub mod json;
pub mod junit;
pub mod ktap;
mod latency;
pub mod merge;
pub mod model;
pub mod pretty;
mod ratio;
mod summary;
mod text;

pub use error::ReportError;
pub use format::{Format, files, put, write_all};
pub use pretty::Paint;
