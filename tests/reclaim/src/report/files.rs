// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files of a run.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{html, table};
use crate::model::{self, JsonError, Run};

/// What the files are called.
pub mod names {
    /// The run itself.
    pub const RESULTS: &str = "results.json";
    /// The page for people.
    pub const HTML: &str = "report.html";
    /// The tables that are printed.
    pub const TABLE: &str = "table.txt";
}

/// Why a report can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or its folder can't be written.
    #[error("can't write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It can't be put into JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It can't be put into HTML.
    #[error("can't put the results into HTML")]
    Html(#[from] minijinja::Error),
}

/// Writes results.json, table.txt and report.html into a folder, which is made where there is none.
///
/// # Errors
///
/// If the folder can't be made or a file can't be written.
pub fn write_all(run: &Run, folder: &Path) -> Result<(), ReportError> {
    fs::create_dir_all(folder).map_err(|source| ReportError::Write {
        path: folder.into(),
        source,
    })?;
    let write = |name, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| ReportError::Write { path, source })
    };
    write(names::RESULTS, model::json(run)?)?;
    write(names::TABLE, table(run))?;
    write(names::HTML, html(run)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let run = fixture::run();
        write_all(&run, &folder.path().join("a/b")).unwrap();
        let read = model::read(&folder.path().join("a/b").join(names::RESULTS));
        assert_eq!(read.unwrap(), run);
    }

    #[test]
    fn other_files_are_refused_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(names::RESULTS);
        for (text, told) in [
            (r#"{"schema": 2}"#, "has schema 2"),
            (r#"{"schema": 1}"#, "is no results.json"),
            ("[]", "is no results.json"),
        ] {
            fs::write(&path, text).unwrap();
            let error = model::read(&path).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn each_field_is_documented() {
        let value = serde_json::to_value(fixture::run()).unwrap();
        let known = lab_report::fixture::fields(&value);
        assert!(!known.is_empty());
        let docs = include_str!("../../docs/results.md");
        for field in known {
            assert!(docs.contains(&format!("`{field}`")), "{field}");
        }
    }
}
