// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The results of a run, as results.json holds them.

mod cell;
mod evidence;
mod kinds;
mod run;

pub use cell::{Cell, CellKey};
pub use evidence::Evidence;
pub use kinds::{Contract, Outcome, Verdict};
pub use run::{Conclusion, Host, Run, SCHEMA, Shard, Totals, utc};
