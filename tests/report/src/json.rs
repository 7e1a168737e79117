// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! results.json: the run itself. `docs/results.md` describes it.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    error::ReportError,
    model::{Run, SCHEMA},
    summary::{Summary, summaries},
};

/// A run and what follows from it, which is not read again.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    run: &'a Run,
    latencies: Vec<Summary<'a>>,
}

/// The one field that tells whether the others can be read.
#[derive(Deserialize)]
struct Version {
    schema: u64,
}

/// The run as JSON, ended by a newline.
///
/// # Errors
///
/// If it can't be put into JSON; a run's numbers always can.
pub fn json(run: &Run) -> Result<String, ReportError> {
    let latencies = summaries(run);
    let written = Written { run, latencies };
    let mut text = serde_json::to_string_pretty(&written).map_err(ReportError::Json)?;
    text.push('\n');
    Ok(text)
}

/// Reads a results.json.
///
/// # Errors
///
/// If the file can't be read, is none of daxlab's, or has another schema.
pub fn read(path: &Path) -> Result<Run, ReportError> {
    let text = fs::read_to_string(path).map_err(|source| ReportError::Read {
        path: path.into(),
        source,
    })?;
    let no_results = |source| ReportError::NoResults {
        path: path.into(),
        source,
    };
    let Version { schema } = serde_json::from_str(&text).map_err(no_results)?;
    if schema != u64::from(SCHEMA) {
        return Err(ReportError::Schema {
            path: path.into(),
            found: schema,
        });
    }
    serde_json::from_str(&text).map_err(no_results)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        for run in [
            fixture::small(),
            fixture::interleaved(),
            fixture::hostile(),
            fixture::all_skipped(),
            fixture::run(vec![]),
        ] {
            fs::write(&path, json(&run).unwrap()).unwrap();
            assert_eq!(read(&path).unwrap(), run);
        }
    }

    #[test]
    fn other_files_are_refused_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let told = |text: &str| {
            fs::write(&path, text).unwrap();
            read(&path).unwrap_err().to_string()
        };
        assert!(told(r#"{"schema": 2}"#).contains("has schema 2, but this daxlab reads schema 1"));
        for text in ["", "[]", "{}", r#"{"schema": 1}"#, r#"{"schema": "1"}"#] {
            assert!(
                told(text).ends_with("is no results.json of daxlab"),
                "{text}"
            );
        }
        fs::remove_file(&path).unwrap();
        let missing = read(&path).unwrap_err().to_string();
        assert!(missing.starts_with("can't read "), "{missing}");
    }

    #[test]
    fn fields_that_are_added_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let run = fixture::small();
        let text = json(&run).unwrap();
        let text = text.replacen('{', "{\"later\": 1,", 1);
        fs::write(&path, text.replace("\"steps\"", "\"later\": [], \"steps\"")).unwrap();
        assert_eq!(read(&path).unwrap(), run);
    }

    #[test]
    fn each_field_is_documented() {
        let mut run = fixture::interleaved();
        run.shard = Some(crate::model::Shard { index: 0, of: 1 });
        let value = serde_json::from_str(&json(&run).unwrap()).unwrap();
        let known = fixture::fields(&value);
        assert!(known.contains(&"first_to_this"));
        let docs = include_str!("../docs/results.md");
        for field in known {
            assert!(docs.contains(&format!("| `{field}` |")), "{field}");
        }
    }
}
