// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every way to tell what a run found.

mod document;
pub mod grid;
mod html;
pub mod quantity;
mod results;
mod table;

pub use document::{between, with_numbers};
pub use html::html;
pub use table::{points_table, table, told};

#[cfg(test)]
mod fixture;
