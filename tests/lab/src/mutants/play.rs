// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Plays cases on a kernel: a `daxlab test` of its own, whose results are kept.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use dax_measure::RESULTS;
use dax_measure::lab::Run;
use qemu_guest::artifacts::kernel::{BuiltKernel, Mutant};

/// The folder of results.
pub struct Shelf {
    /// Where it is.
    pub root: PathBuf,
    /// What runs guests' CPUs.
    pub accel: String,
}

/// How a `daxlab test` ended.
pub enum Ended {
    /// Its results are there.
    Played,
    /// This signal ended it.
    Signalled(u8),
}

impl Shelf {
    /// Plays a mutant's cases.
    ///
    /// # Errors
    ///
    /// If `daxlab test` can't be run.
    pub fn play(&self, mutant: &'static Mutant) -> Result<Ended> {
        let kernel = BuiltKernel::mutant(mutant);
        self.test(kernel, &mutant.cells(), &self.folder(kernel))
    }

    /// Plays a mutant's cases on the kernel without the wrong hunk, unless that has been done.
    ///
    /// # Errors
    ///
    /// If `daxlab test` can't be run, or results can't be read.
    pub fn play_control(&self, mutants: &[&'static Mutant]) -> Result<Ended> {
        for kernel in originals(mutants) {
            let of_kernel = |mutant: &&&'static Mutant| mutant.original() == kernel;
            let cells = mutants
                .iter()
                .filter(of_kernel)
                .map(|mutant| mutant.cells());
            let mut missing: BTreeSet<String> = cells.flatten().collect();
            let played = self.control(kernel)?;
            for cell in played.iter().flat_map(|run| &run.cells) {
                missing.remove(&cell.case);
            }
            if missing.is_empty() {
                continue;
            }
            let folder = self.folder(kernel).join(played.len().to_string());
            let cells: Vec<String> = missing.into_iter().collect();
            if let Ended::Signalled(signal) = self.test(kernel, &cells, &folder)? {
                return Ok(Ended::Signalled(signal));
            }
        }
        Ok(Ended::Played)
    }

    /// A mutant's results, if there are any.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn results(&self, mutant: &'static Mutant) -> Result<Option<Run>> {
        read(&self.folder(BuiltKernel::mutant(mutant)))
    }

    /// The results of a kernel without a wrong hunk.
    ///
    /// # Errors
    ///
    /// If they can't be read.
    pub fn control(&self, kernel: BuiltKernel) -> Result<Vec<Run>> {
        let folder = self.folder(kernel);
        let numbered = (0..).map(|number: u32| read(&folder.join(number.to_string())));
        let there = numbered.map(Result::transpose).map_while(|run| run);
        there.collect()
    }

    fn folder(&self, kernel: BuiltKernel) -> PathBuf {
        self.root.join(kernel.to_string().replace(':', "-"))
    }

    fn test(&self, kernel: BuiltKernel, cells: &[String], out: &Path) -> Result<Ended> {
        let results = out.join(RESULTS);
        if results.exists() {
            fs::remove_file(&results)
                .with_context(|| format!("can't remove {}", results.display()))?;
        }
        let program = std::env::current_exe().context("can't find this program's own file")?;
        let mut test = Command::new(program);
        test.args([
            "test",
            "--kernel",
            &kernel.to_string(),
            "--accel",
            &self.accel,
        ]);
        test.args(cells.iter().flat_map(|cell| ["--case", cell]));
        test.arg("--out").arg(out).stdout(Stdio::null());
        let status = test.status().context("can't run daxlab test")?;
        match status.code() {
            Some(0 | 1) => Ok(Ended::Played),
            // The results say which cases the lab has failed in; without them, it has told why.
            Some(3) if results.exists() => Ok(Ended::Played),
            Some(code @ 129..) => Ok(Ended::Signalled((code - 128) as u8)),
            _ => bail!("daxlab test on {kernel} failed: {status}"),
        }
    }
}

/// The kernels that the mutants were made from.
fn originals(mutants: &[&'static Mutant]) -> Vec<BuiltKernel> {
    let mut kernels: Vec<BuiltKernel> = Vec::new();
    for kernel in mutants.iter().map(|mutant| mutant.original()) {
        if !kernels.contains(&kernel) {
            kernels.push(kernel);
        }
    }
    kernels
}

fn read(folder: &Path) -> Result<Option<Run>> {
    let path = folder.join(RESULTS);
    match path.exists() {
        true => Ok(Some(dax_measure::read(&path)?)),
        false => Ok(None),
    }
}
