// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What goes wrong with reports.

use std::{io, path::PathBuf};

use super::model::SCHEMA;

/// Why a report can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no results.json.
    #[error("{} is no results.json of daxlab", path.display())]
    NoResults {
        /// The file.
        path: PathBuf,
        /// Where it is not.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error(
        "{} has schema {found}, but this daxlab reads schema {SCHEMA}: use the daxlab that wrote \
         it, or run the tests again",
        path.display()
    )]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
    /// The file or its folder can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The report can't be printed.
    #[error("can't print the report")]
    Print(#[from] io::Error),
    /// The results can't be put into JSON.
    #[error("can't put the results into JSON")]
    Json(#[source] serde_json::Error),
    /// The results can't be put into JUnit's XML.
    #[error("can't put the results into JUnit XML")]
    Junit(#[from] quick_junit::SerializeError),
    /// The results can't be put into HTML.
    #[error("can't put the results into HTML")]
    Html(#[from] minijinja::Error),
}
