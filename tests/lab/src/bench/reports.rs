// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The steps that all benchmarks share: before and after the measurement.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    slice,
};

use anyhow::{Context as _, Result};
use clap::Args;
use dax_bench::guests::{KernelParts, Watch};
use dax_measure::{Results, read};
use qemu_guest::artifacts::{KernelSpec, Progress, QemuSpec, kernel::DebianKernel};

use crate::{cli::Status, signals::Noted};

/// How a measurement ended.
pub enum Measured<R> {
    /// The measurement is complete.
    All(Box<R>),
    /// This signal interrupted the measurement.
    Signalled(u8),
}

/// The guests' default kernel.
static USUAL_KERNEL: KernelSpec = KernelSpec::Debian(DebianKernel::V6_12);

/// Measures in guests until the measurement is complete or a signal arrives. Progress lines carry
/// the name `command`. `measure` returns `None` if it stopped early because of the signal.
///
/// # Errors
///
/// If signals can't be caught, the runtime can't be started, or the measurement fails.
pub fn until_signal<R>(
    command: &str,
    measure: impl AsyncFnOnce(&Watch<'_>) -> Result<Option<R>>,
) -> Result<Measured<R>> {
    let signal = Noted::catch().context("can't catch signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let watch = Watch {
        goes_on: &|| signal.number().is_none(),
        progress: &|what| eprintln!("{command}: {what}"),
    };
    let run = runtime.block_on(measure(&watch))?;
    Ok(match (run, signal.number()) {
        (Some(run), None) => Measured::All(Box::new(run)),
        (_, signal) => Measured::Signalled(signal.unwrap_or_default()),
    })
}

/// The parts of guests for each kernel and QEMU that was named, or for the default ones. `files` go
/// into the initramfs.
///
/// # Errors
///
/// If a part can't be fetched or built.
pub fn kernels(
    specs: &[KernelSpec],
    qemus: &[QemuSpec],
    files: &[(String, PathBuf)],
) -> Result<Vec<KernelParts>> {
    let usual = [QemuSpec::from_environment()];
    let specs = match specs.is_empty() {
        true => slice::from_ref(&USUAL_KERNEL),
        false => specs,
    };
    let qemus = match qemus.is_empty() {
        true => &usual[..],
        false => qemus,
    };
    let mut all = Vec::new();
    for kernel in specs {
        for qemu in qemus {
            all.push(KernelParts::obtain(kernel, qemu, files, Progress::auto())?);
        }
    }
    Ok(all)
}

/// Where a run comes from, and which document gets its numbers.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Measure nothing, and report an earlier run once more: its results.json
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,

    /// Put the numbers into this Markdown document, between its marks, and a picture beside it, if
    /// there is one; how tests/bench/docs/performance.md and those in tests/reclaim/docs are kept
    #[arg(long, value_name = "FILE")]
    pub into: Option<PathBuf>,
}

/// Measures, or reads an earlier run's results, and writes the reports.
///
/// # Errors
///
/// If a measurement, an input or a report fails.
pub fn run<R: Results>(
    (args, folder): (&ReportArgs, &Path),
    measured: impl FnOnce() -> Result<Measured<R>>,
    out: &mut dyn Write,
) -> Result<Status> {
    // An unusable folder is found before minutes of work, not after.
    fs::create_dir_all(folder).with_context(|| format!("can't use {}", folder.display()))?;
    let run = match &args.from {
        Some(path) => read(path)?,
        None => match measured()? {
            Measured::All(run) => *run,
            Measured::Signalled(signal) => return Ok(Status::Signalled(signal)),
        },
    };
    run.write_all(folder)?;
    let sheet = run.sheet();
    if let Some(path) = &args.into {
        let told = || format!("can't put the numbers into {}", path.display());
        let document = fs::read_to_string(path).with_context(told)?;
        let document = sheet.with_numbers(&document);
        let document = document.context("it has no marks for them");
        fs::write(path, document.with_context(told)?).with_context(told)?;
        for (name, picture) in run.pictures() {
            fs::write(path.with_file_name(name), picture).with_context(told)?;
        }
    }
    dax_measure::put(&sheet.text(), out)?;
    Ok(Status::Success)
}
