// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab list` and `daxlab explain`: the lab's cases in words, and the options that choose among
//! them. Nothing here runs a guest.

mod entry;
mod explain;
mod list;
mod paragraph;
mod selection;
mod words;

pub use explain::{ExplainArgs, run as explain};
pub use list::{ListArgs, run as list};
pub use selection::{NoCase, Selection};
