// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `results.json`.

use std::{fs, path::Path};

use serde::Deserialize;

use super::{Results, ResultsError};

/// The run as JSON, ended by a newline.
///
/// # Errors
///
/// If it can't be put into JSON.
pub fn json<R: Results>(run: &R) -> Result<String, ResultsError> {
    let mut text = serde_json::to_string_pretty(run).map_err(ResultsError::Json)?;
    text.push('\n');
    Ok(text)
}

/// Reads a results.json.
///
/// # Errors
///
/// If the file can't be read, is something else, or of another version.
pub fn read<R: Results>(path: &Path) -> Result<R, ResultsError> {
    #[derive(Deserialize)]
    struct Version {
        schema: u64,
    }
    let text = fs::read_to_string(path).map_err(|source| ResultsError::Read {
        path: path.into(),
        source,
    })?;
    let no_results = |source| ResultsError::NoResults {
        path: path.into(),
        command: R::COMMAND,
        source,
    };
    let Version { schema } = serde_json::from_str(&text).map_err(no_results)?;
    if schema != u64::from(R::SCHEMA) {
        return Err(ResultsError::Schema {
            path: path.into(),
            found: schema,
            known: R::SCHEMA,
        });
    }
    serde_json::from_str(&text).map_err(no_results)
}
