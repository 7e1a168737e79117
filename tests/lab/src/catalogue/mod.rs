// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab list`, `daxlab explain` and `daxlab export`: descriptions of the lab's cases, and the options
//! that select cases. No code here runs a guest.

mod entry;
mod explain;
mod export;
mod list;
mod paragraph;
mod phrases;
mod selection;

pub use explain::{ExplainArgs, run as explain};
pub use export::{ExportArgs, run as export};
pub use list::{ListArgs, run as list};
pub use selection::Selection;
