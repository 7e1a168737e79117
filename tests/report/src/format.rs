// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Which report goes where.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::ValueEnum;

use super::{
    error::ReportError,
    html::html,
    json::json,
    junit::junit,
    ktap::ktap,
    model::Run,
    pretty::{Paint, pretty},
};

/// The names of the files that [`write_all`] writes.
pub mod files {
    /// The run itself.
    pub const RESULTS: &str = "results.json";
    /// The page for people.
    pub const HTML: &str = "report.html";
    /// JUnit XML.
    pub const JUNIT: &str = "junit.xml";
    /// KTAP.
    pub const KTAP: &str = "results.ktap";
}

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
    /// Prints the run; only the pretty report has colour.
    ///
    /// # Errors
    ///
    /// If `out` takes no more.
    pub fn print(self, run: &Run, paint: Paint, out: &mut dyn Write) -> Result<(), ReportError> {
        let text = match self {
            Self::Pretty => pretty(run, paint),
            Self::Ktap => ktap(run),
            Self::Json => json(run)?,
            Self::Junit => junit(run)?,
        };
        Ok(put(&text, out)?)
    }
}

/// Prints a text. A reader that closed its pipe has read enough, which is no error.
///
/// # Errors
///
/// If `out` takes no more.
pub fn put(text: &str, out: &mut dyn Write) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes results.json, report.html, junit.xml and results.ktap into a folder, which is made where
/// there is none.
///
/// # Errors
///
/// If the folder can't be made or a file can't be written.
pub fn write_all(run: &Run, folder: &Path) -> Result<(), ReportError> {
    fs::create_dir_all(folder).map_err(|source| ReportError::Write {
        path: folder.into(),
        source,
    })?;
    write(folder, files::RESULTS, &json(run)?)?;
    write(folder, files::KTAP, &ktap(run))?;
    write(folder, files::JUNIT, &junit(run)?)?;
    write(folder, files::HTML, &html(run)?)
}

/// Through a file beside it, so that who reads a report of a run that is going on reads a whole
/// one.
fn write(folder: &Path, name: &str, text: &str) -> Result<(), ReportError> {
    let path = folder.join(name);
    let unfinished = folder.join(format!(".{name}.new"));
    let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, &path));
    written.map_err(|source| ReportError::Write { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fixture, json::read};

    #[test]
    fn all_reports_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a/b");
        let run = fixture::small();
        write_all(&run, &out).unwrap();
        write_all(&run, &out).unwrap();
        assert_eq!(read(&out.join(files::RESULTS)).unwrap(), run);
        let mut names: Vec<_> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = ["junit.xml", "report.html", "results.json", "results.ktap"];
        assert_eq!(names, expected);
        let error = write_all(&run, &out.join(files::RESULTS)).unwrap_err();
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
            format.print(&run, Paint::Plain, &mut out).unwrap();
            assert!(out.starts_with(begin.as_bytes()), "{format:?}");
        }
    }
}
