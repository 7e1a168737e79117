// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How a run is kept.

use dax_bench::results::Results;

use super::{html, table, with_numbers};
use crate::model::{Run, SCHEMA};

impl Results for Run {
    const SCHEMA: u32 = SCHEMA;
    const COMMAND: &'static str = "daxlab bench reclaim";

    fn table(&self) -> String {
        table(self)
    }

    fn page(&self) -> Result<Option<String>, minijinja::Error> {
        html(self).map(Some)
    }

    fn with_numbers(&self, document: &str) -> Option<String> {
        with_numbers(document, self)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use dax_bench::results::{names, read, write_all};

    use super::*;
    use crate::report::fixture;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let run = fixture::run();
        write_all(&run, &folder.path().join("a/b")).unwrap();
        let read = read::<Run>(&folder.path().join("a/b").join(names::RESULTS));
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
            let error = read::<Run>(&path).unwrap_err().to_string();
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
