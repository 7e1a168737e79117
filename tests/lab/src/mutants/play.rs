// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Plays cases on a kernel: a `daxlab test` of its own, whose results are kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use dax_measure::RESULTS;
use dax_measure::lab::Run;
use qemu_guest::artifacts::kernel::{BuiltKernel, Mutant};

use crate::test::{Ended, play};

/// The folder of results.
pub struct Shelf {
    /// Where it is.
    pub root: PathBuf,
    /// What runs guests' CPUs.
    pub accel: String,
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

    /// Plays a mutant's cases on the kernel without the wrong hunk, unless that has been done. The signal
    /// that ended it, if one did.
    ///
    /// # Errors
    ///
    /// If `daxlab test` can't be run, or results can't be read.
    pub fn play_control(&self, mutants: &[&'static Mutant]) -> Result<Option<u8>> {
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
                return Ok(Some(signal));
            }
        }
        Ok(None)
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
        let options = ["--accel", &self.accel];
        play(&kernel.to_string(), cells, &options, out)
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
