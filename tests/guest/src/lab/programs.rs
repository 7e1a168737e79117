// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The programs that tests run: static third-party programs for guests, and `daxlab`.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A program that `tests/run.sh` builds.
#[derive(Clone, Copy, Debug)]
pub struct ForGuests {
    name: &'static str,
    /// The path below the build folder.
    path: &'static str,
    /// The environment variable that names another file.
    variable: &'static str,
}

/// The file system exerciser, from the crate of that name.
pub const FSX: ForGuests = ForGuests {
    name: "the static fsx",
    path: "fsx/bin/fsx",
    variable: "FSX",
};

/// The test suite of file system semantics, from the crate of that name.
pub const PJDFSTEST: ForGuests = ForGuests {
    name: "the static pjdfstest",
    path: "pjdfstest/bin/pjdfstest",
    variable: "PJDFSTEST",
};

impl ForGuests {
    /// The program, in the build folder that this executable comes from.
    pub fn find(self) -> Result<PathBuf> {
        if let Some(path) = env::var_os(self.variable) {
            return Ok(path.into());
        }
        let exe = env::current_exe()?;
        let folders = exe.ancestors().skip(2).take(2);
        let mut files = folders.map(|folder| folder.join(self.path));
        let found = files.find(|path| path.is_file());
        let Self { name, variable, .. } = self;
        found.with_context(|| {
            format!("{name} is not built: run tests/run.sh, or set {variable} to its path")
        })
    }
}

/// The `daxlab` that was built with these tests.
pub fn daxlab() -> Result<PathBuf> {
    let exe = env::current_exe()?;
    Ok(exe.parent().unwrap_or(Path::new("")).join("daxlab"))
}
