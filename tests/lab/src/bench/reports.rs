// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The course of every benchmark around its measuring.

use std::{fs, io::Write, path::Path};

use anyhow::{Context as _, Result};
use dax_bench::results::{Results, read, write_all};

use crate::{cli::Status, signals::Noted};

/// How measuring ended.
pub enum Measured<R> {
    /// There is all of it.
    All(Box<R>),
    /// This signal came.
    Signalled(u8),
}

/// Measures in guests until everything is measured or a signal arrives. `measure` gets a function that
/// says whether to go on, and returns None if it stopped because of that.
///
/// # Errors
///
/// If signals can't be caught, the runtime can't be started, or something can't be measured.
pub fn until_signal<R>(
    measure: impl AsyncFnOnce(&dyn Fn() -> bool) -> Result<Option<R>>,
) -> Result<Measured<R>> {
    let signal = Noted::catch().context("can't catch signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let goes_on = || signal.number().is_none();
    Ok(match runtime.block_on(measure(&goes_on))? {
        Some(run) => Measured::All(Box::new(run)),
        None => Measured::Signalled(signal.number().unwrap_or_default()),
    })
}

/// Where a run comes from, and where its reports go.
pub struct Places<'a> {
    /// An earlier run's `results.json`, to be told again.
    pub from: Option<&'a Path>,
    /// The folder of its files.
    pub out: &'a Path,
    /// The document that gets its numbers.
    pub into: Option<&'a Path>,
}

/// Measures, or reads what was measured, and reports it.
///
/// # Errors
///
/// If something can't be measured, read or written.
pub fn run<R: Results>(
    places: &Places<'_>,
    measured: impl FnOnce() -> Result<Measured<R>>,
    out: &mut dyn Write,
) -> Result<Status> {
    // Before minutes of work, not after.
    fs::create_dir_all(places.out)
        .with_context(|| format!("can't use {}", places.out.display()))?;
    let run = match places.from {
        Some(path) => read(path)?,
        None => match measured()? {
            Measured::All(run) => *run,
            Measured::Signalled(signal) => return Ok(Status::Signalled(signal)),
        },
    };
    write_all(&run, places.out)?;
    if let Some(path) = places.into {
        let told = || format!("can't put the numbers into {}", path.display());
        let document = fs::read_to_string(path).with_context(told)?;
        let document = run.with_numbers(&document);
        let document = document.context("it has no marks for them");
        fs::write(path, document.with_context(told)?).with_context(told)?;
    }
    lab_report::put(&run.table(), out)?;
    Ok(Status::Success)
}
