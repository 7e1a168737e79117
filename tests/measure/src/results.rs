// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files of a run, and results.json read again.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::sheet::Sheet;

/// The run itself, for programs.
pub const RESULTS: &str = "results.json";
/// The page for people.
pub const HTML: &str = "report.html";
/// The tables that are printed.
pub const TABLE: &str = "table.txt";

/// Why a report can't be read, made or written.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ReportError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// It is something else.
    #[error("{} is no results.json of {command}", path.display())]
    NoResults {
        path: PathBuf,
        command: &'static str,
        source: serde_json::Error,
    },
    /// It is of another version.
    #[error(
        "{} has schema {found}, but this daxlab reads schema {known}: use the daxlab that wrote \
         it, or run it again",
        path.display()
    )]
    Schema {
        path: PathBuf,
        found: u64,
        known: u32,
    },
    /// A file or its folder can't be written.
    #[error("can't write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// The report can't be printed.
    #[error("can't print the report")]
    Print(#[from] io::Error),
    /// The results can't be put into JSON.
    #[error("can't put the results into JSON")]
    Json(#[from] serde_json::Error),
    /// The results can't be put into JUnit's XML.
    #[error("can't put the results into JUnit XML")]
    Junit(#[from] quick_junit::SerializeError),
    /// The results can't be put into HTML.
    #[error("can't put the results into HTML")]
    Html(#[from] minijinja::Error),
}

/// What a results.json holds.
pub trait Stored: DeserializeOwned {
    /// The version of its format, which is the field `schema`.
    const SCHEMA: u32;
    /// The command that makes it.
    const COMMAND: &'static str;
}

/// A run of a benchmark.
pub trait Results: Stored + Serialize {
    /// What is told of it.
    fn sheet(&self) -> Sheet<'_>;

    /// Pictures for documents, by the names of their files.
    fn pictures(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Writes results.json, table.txt, report.html and pictures into a folder, which is made where
    /// there is none.
    ///
    /// # Errors
    ///
    /// If the folder can't be made or a file can't be written.
    fn write_all(&self, folder: &Path) -> Result<(), ReportError> {
        let sheet = self.sheet();
        let mut files = vec![
            (RESULTS, json(self)?),
            (TABLE, sheet.text()),
            (HTML, sheet.page()?),
        ];
        files.extend(self.pictures());
        write_files(folder, &files)
    }
}

/// As results.json has it, ended by a newline.
pub(crate) fn json(run: &(impl Serialize + ?Sized)) -> Result<String, ReportError> {
    let mut text = serde_json::to_string_pretty(run)?;
    text.push('\n');
    Ok(text)
}

/// Reads a results.json. Fields that this version does not know are left out.
///
/// # Errors
///
/// If the file can't be read, is something else, or of another version.
pub fn read<R: Stored>(path: &Path) -> Result<R, ReportError> {
    /// The one field that tells whether the others can be read.
    #[derive(Deserialize)]
    struct Version {
        schema: u64,
    }
    let text = fs::read_to_string(path).map_err(|source| ReportError::Read {
        path: path.into(),
        source,
    })?;
    let no_results = |source| ReportError::NoResults {
        path: path.into(),
        command: R::COMMAND,
        source,
    };
    let Version { schema } = serde_json::from_str(&text).map_err(no_results)?;
    if schema != u64::from(R::SCHEMA) {
        return Err(ReportError::Schema {
            path: path.into(),
            found: schema,
            known: R::SCHEMA,
        });
    }
    serde_json::from_str(&text).map_err(no_results)
}

/// Writes each text through a file beside it, so that who reads a report of a run that is going on
/// reads a whole one.
pub(crate) fn write_files(folder: &Path, files: &[(&str, String)]) -> Result<(), ReportError> {
    fs::create_dir_all(folder).map_err(|source| ReportError::Write {
        path: folder.into(),
        source,
    })?;
    for (name, text) in files {
        let path = folder.join(name);
        let unfinished = folder.join(format!(".{name}.new"));
        let written = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, &path));
        written.map_err(|source| ReportError::Write { path, source })?;
    }
    Ok(())
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
