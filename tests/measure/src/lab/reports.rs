// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Writes each report to its place.

use std::{io::Write, path::Path};

use clap::ValueEnum;
use serde::Serialize;

use super::{
    Run,
    html::html,
    junit::junit,
    ktap::ktap,
    summary::{Summary, summaries},
    terminal,
};
use crate::{
    Colour, ReportError, put,
    results::{self, HTML, RESULTS, write_files},
};

/// What is printed at the end of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The matrix and what needs words, for a terminal
    #[default]
    Pretty,
    /// KTAP version 1, as kselftest writes it
    Ktap,
    /// results.json
    Json,
    /// JUnit XML
    Junit,
}

impl Format {
    /// Prints the run. Only the report for a terminal uses colours.
    ///
    /// # Errors
    ///
    /// If writing to `out` fails.
    pub fn print(self, run: &Run, colour: Colour, out: &mut dyn Write) -> Result<(), ReportError> {
        let text = match self {
            Self::Pretty => terminal::text(run, colour),
            Self::Ktap => ktap(run),
            Self::Json => json(run)?,
            Self::Junit => junit(run)?,
        };
        Ok(put(&text, out)?)
    }
}

/// A run and values derived from it, which are not read back.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    run: &'a Run,
    latencies: Vec<Summary<'a>>,
}

fn json(run: &Run) -> Result<String, ReportError> {
    let latencies = summaries(run);
    results::json(&Written { run, latencies })
}

/// Writes results.json, report.html, junit.xml and results.ktap into a folder, which is made if
/// necessary.
///
/// # Errors
///
/// If the folder or a file can't be written.
pub fn write_all(run: &Run, folder: &Path) -> Result<(), ReportError> {
    let files = [
        (RESULTS, json(run)?),
        ("results.ktap", ktap(run)),
        ("junit.xml", junit(run)?),
        (HTML, html(run)?),
    ];
    write_files(folder, &files)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{Shard, fixture::fields, lab::fixture, read};

    #[test]
    fn all_reports_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        let run = fixture::small();
        write_all(&run, &out).unwrap();
        write_all(&run, &out).unwrap();
        assert_eq!(read::<Run>(&out.join(RESULTS)).unwrap(), run);
        let mut names: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = ["junit.xml", "report.html", "results.json", "results.ktap"];
        assert_eq!(names, expected);
        let error = write_all(&run, &out.join(RESULTS)).unwrap_err();
        assert!(error.to_string().starts_with("can't write "));
    }

    #[test]
    fn each_format_prints_its_report() {
        let run = fixture::small();
        for (format, begin) in [
            (Format::Pretty, "daxlab "),
            (Format::Ktap, "KTAP version 1\n"),
            (Format::Json, "{\n  \"schema\": 1,"),
            (Format::Junit, "<?xml "),
        ] {
            let mut out = Vec::new();
            format.print(&run, Colour::Off, &mut out).unwrap();
            assert!(out.starts_with(begin.as_bytes()), "{format:?}");
        }
    }

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
            assert_eq!(read::<Run>(&path).unwrap(), run);
        }
    }

    #[test]
    fn other_files_are_refused_with_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let told = |text: &str| {
            fs::write(&path, text).unwrap();
            read::<Run>(&path).unwrap_err().to_string()
        };
        assert!(told(r#"{"schema": 2}"#).contains("has schema 2, but this daxlab reads schema 1"));
        for text in ["", "[]", "{}", r#"{"schema": 1}"#, r#"{"schema": "1"}"#] {
            assert!(
                told(text).ends_with("is no results.json of daxlab"),
                "{text}"
            );
        }
        fs::remove_file(&path).unwrap();
        let missing = read::<Run>(&path).unwrap_err().to_string();
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
        assert_eq!(read::<Run>(&path).unwrap(), run);
    }

    #[test]
    fn each_field_is_documented() {
        let mut run = fixture::interleaved();
        run.shard = Some(Shard { index: 0, of: 1 });
        let value = serde_json::from_str(&json(&run).unwrap()).unwrap();
        let known = fields(&value);
        assert!(known.contains(&"first_to_this"));
        let docs = include_str!("../../docs/results.md");
        for field in known {
            assert!(docs.contains(&format!("| `{field}` |")), "{field}");
        }
    }
}
