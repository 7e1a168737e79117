// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Every way to tell what a run found.

mod document;
mod html;
mod results;
mod table;

pub use document::with_numbers;
pub use html::html;
pub use table::table;

#[cfg(test)]
mod fixture;
