// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every way to tell what a run found.

mod document;
mod files;
mod html;
mod table;

pub use document::with_numbers;
pub use files::{ReportError, names, write_all};
pub use html::html;
pub use table::table;

#[cfg(test)]
mod fixture;
