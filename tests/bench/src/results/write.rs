// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files of a run.

use std::{fs, path::Path};

use super::{Results, ResultsError, json};

/// What the files are called.
pub mod names {
    /// The run itself.
    pub const RESULTS: &str = "results.json";
    /// The page for people.
    pub const HTML: &str = "report.html";
    /// The tables that are printed.
    pub const TABLE: &str = "table.txt";
}

/// Writes results.json, table.txt, and report.html if the run has a page, into a folder, which is
/// made where there is none.
///
/// # Errors
///
/// If the folder can't be made or a file can't be written.
pub fn write_all<R: Results>(run: &R, folder: &Path) -> Result<(), ResultsError> {
    fs::create_dir_all(folder).map_err(|source| ResultsError::Write {
        path: folder.into(),
        source,
    })?;
    let write = |name, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| ResultsError::Write { path, source })
    };
    write(names::RESULTS, json(run)?)?;
    write(names::TABLE, run.table())?;
    match run.page()? {
        Some(page) => write(names::HTML, page),
        None => Ok(()),
    }
}
