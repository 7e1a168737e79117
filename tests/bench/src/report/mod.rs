// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every way to tell what a run found.

mod document;
mod files;
pub mod grid;
mod html;
pub mod quantity;
mod table;

pub use document::{between, with_numbers};
pub use files::{ReportError, names, write_all};
pub use html::html;
pub use table::{points_table, table, told};

#[cfg(test)]
mod fixture;
