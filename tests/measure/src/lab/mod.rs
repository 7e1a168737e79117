// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The results of a run of the regression lab, in all formats: the matrix, KTAP, JUnit, JSON and a
//! page. [`diff`] compares two runs, and [`merge`] joins the results of shards.
//!
//! No code here runs a guest or judges a result: the maker of the [`Cell`]s records the expectation
//! and the verdict. `docs/results.md` describes results.json.

mod cell;
pub mod diff;
#[cfg(any(test, feature = "fixture"))]
pub mod fixture;
mod grid;
mod html;
mod junit;
mod kinds;
mod ktap;
mod latency;
pub mod merge;
mod reports;
mod run;
mod summary;
mod terminal;

pub use cell::{Cell, CellKey, Evidence};
pub use kinds::{Contract, Outcome, Verdict};
pub use reports::{Format, write_all};
pub use run::{Conclusion, Host, Run, SCHEMA, Totals};
