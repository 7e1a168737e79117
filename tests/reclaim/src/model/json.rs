// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `results.json`; docs/results.md describes it.

use std::{fs, io, path::Path, path::PathBuf};

use serde::Deserialize;

use super::{Run, SCHEMA};

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{} is no results.json of daxlab bench reclaim", path.display())]
    NoResults {
        /// The file.
        path: PathBuf,
        /// Where it is not.
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error("{} has schema {found}, but this daxlab reads schema {SCHEMA}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u64,
    },
    /// A number has no place in JSON.
    #[error("can't put the results into JSON")]
    Json(#[source] serde_json::Error),
}

/// The run as JSON, ended by a newline.
///
/// # Errors
///
/// If it can't be put into JSON.
pub fn json(run: &Run) -> Result<String, JsonError> {
    let mut text = serde_json::to_string_pretty(run).map_err(JsonError::Json)?;
    text.push('\n');
    Ok(text)
}

/// Reads a results.json.
///
/// # Errors
///
/// If the file can't be read, is something else, or of another version.
pub fn read(path: &Path) -> Result<Run, JsonError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u64,
    }
    let text = fs::read_to_string(path).map_err(|source| JsonError::Read {
        path: path.into(),
        source,
    })?;
    let no_results = |source| JsonError::NoResults {
        path: path.into(),
        source,
    };
    let Version { schema } = serde_json::from_str(&text).map_err(no_results)?;
    if schema != u64::from(SCHEMA) {
        return Err(JsonError::Schema {
            path: path.into(),
            found: schema,
        });
    }
    serde_json::from_str(&text).map_err(no_results)
}
