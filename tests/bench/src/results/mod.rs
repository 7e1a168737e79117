// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a benchmark leaves behind: `results.json`, a table, a page, and numbers in a document.
//!
//! Each benchmark has a run of its own kind, and says by [`Results`] how it is told.

mod error;
mod json;
mod write;

use serde::{Serialize, de::DeserializeOwned};

pub use error::ResultsError;
pub use json::{json, read};
pub use write::{names, write_all};

/// A run of a benchmark.
pub trait Results: Serialize + DeserializeOwned {
    /// The version of its `results.json`, which is the run's field `schema`.
    const SCHEMA: u32;
    /// The command that makes it.
    const COMMAND: &'static str;

    /// The tables that are printed.
    fn table(&self) -> String;

    /// The page for people, if there is one.
    ///
    /// # Errors
    ///
    /// If its template does not fit its data, which the tests would see.
    fn page(&self) -> Result<Option<String>, minijinja::Error>;

    /// The document with the run's numbers in place of those that it has. None if it has no marks.
    fn with_numbers(&self, document: &str) -> Option<String>;
}
