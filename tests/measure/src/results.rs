// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Writes the files of a run, and reads results.json.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::sheet::Sheet;

/// The run, for programs.
pub const RESULTS: &str = "results.json";
/// The page for people.
pub const HTML: &str = "report.html";
/// The tables that are printed.
pub const TABLE: &str = "table.txt";

/// Errors of a report.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum ReportError {
    /// The file can't be read.
    #[error("can't read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// The file is no results.json of this command.
    #[error("{} is no results.json of {command}", path.display())]
    NoResults {
        path: PathBuf,
        command: &'static str,
        source: serde_json::Error,
    },
    /// The file has another version.
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

/// The content of a results.json.
pub trait Stored: DeserializeOwned {
    /// The version of the format: the field `schema`.
    const SCHEMA: u32;
    /// The command that writes it.
    const COMMAND: &'static str;
}

/// A run of a benchmark.
pub trait Results: Stored + Serialize {
    /// The report.
    fn sheet(&self) -> Sheet<'_>;

    /// Pictures for documents, with their file names.
    fn pictures(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// Writes results.json, table.txt, report.html and pictures into a folder, which is made if
    /// necessary.
    ///
    /// # Errors
    ///
    /// If the folder or a file can't be written.
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

/// The text of results.json, with a newline at the end.
pub(crate) fn json(run: &(impl Serialize + ?Sized)) -> Result<String, ReportError> {
    let mut text = serde_json::to_string_pretty(run)?;
    text.push('\n');
    Ok(text)
}

/// Reads a results.json. Unknown fields are ignored.
///
/// # Errors
///
/// If the file can't be read, is of another kind, or has another version.
pub fn read<R: Stored>(path: &Path) -> Result<R, ReportError> {
    /// The field that shows whether the other fields can be read.
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

/// Writes each text to a temporary file and renames it, so that a reader always sees a complete
/// file, even during a run.
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

/// Prints a text. A reader that has closed its pipe is no error.
///
/// # Errors
///
/// If writing to `out` fails.
pub fn put(text: &str, out: &mut dyn Write) -> io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
