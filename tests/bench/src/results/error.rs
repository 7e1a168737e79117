// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What goes wrong with results.

use std::{io, path::PathBuf};

/// Why results can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no results.json of {command}", path.display())]
    NoResults {
        /// The file.
        path: PathBuf,
        /// Whose it should be.
        command: &'static str,
        /// Where it is not.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error("{} has schema {found}, but this daxlab reads schema {known}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
        /// The one that is read.
        known: u32,
    },
    /// A file or its folder can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A number has no place in JSON.
    #[error("can't put the results into JSON")]
    Json(#[source] serde_json::Error),
    /// It can't be put into HTML.
    #[error("can't put the results into HTML")]
    Html(#[from] minijinja::Error),
}
