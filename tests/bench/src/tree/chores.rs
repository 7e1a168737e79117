// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The chores on the tree, and the checks of their results.

use anyhow::{Result, ensure};
use dax_measure::words;
use qemu_guest::artifacts::source_tools::BIN;
use qemu_guest::vm::agent::{CommandOutput, ExecRequest};

use super::source::{NEEDLE, Shape};

/// The number of files that are compiled, from several folders.
const COMPILED: usize = 400;
/// The output, in the guest's own memory.
const OBJECT: &str = "/tmp/object.so";

words! {
    /// A chore on a source tree.
    Chore {
        /// Reads each file's attributes, and the index.
        Status = "git status",
        /// Reads each file's content.
        Grep = "grep -r",
        /// Reads some files' content, and looks up many names.
        Compile = "compile",
    }
}

impl Chore {
    /// The command, in the tree at `dir`.
    pub(super) fn request(self, dir: &str, shape: Shape) -> ExecRequest {
        let request = match self {
            Self::Status => ExecRequest::new([&format!("{BIN}/git"), "status", "--porcelain"]),
            Self::Grep => ExecRequest::new([&format!("{BIN}/grep"), "-rlF", NEEDLE, "."]),
            Self::Compile => {
                let last = shape.files.min(COMPILED * 3 / 2);
                let mut folders: Vec<String> = (0..last).map(Shape::folder).collect();
                folders.dedup();
                let files: Vec<String> = folders
                    .iter()
                    .map(|folder| format!("{folder}/*.c"))
                    .collect();
                let line = format!(
                    "{BIN}/tcc -nostdlib -shared -o {OBJECT} {} && sha256sum {OBJECT}",
                    files.join(" ")
                );
                ExecRequest::new(["sh".to_owned(), "-c".to_owned(), line])
            }
        };
        // git must not save what it finds out: each run has to be like the first one.
        request
            .cwd(dir)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("HOME", "/root")
    }

    /// Checks the result; `first` is the output of the first run.
    pub(super) fn check(
        self,
        output: &CommandOutput,
        shape: Shape,
        first: Option<&str>,
    ) -> Result<()> {
        let printed = output.stdout_text();
        let (name, wrong) = (self.name(), output.stderr_text());
        ensure!(
            output.status.success(),
            "{name} ended with {}: {wrong}",
            output.status
        );
        match self {
            Self::Status => ensure!(printed.is_empty(), "{name} found changes: {printed}"),
            Self::Grep => {
                let (found, wanted) = (printed.lines().count(), shape.needles());
                ensure!(
                    found == wanted,
                    "{name} found {found} files, of {wanted} that there are"
                );
            }
            Self::Compile => {
                let same = first.is_none_or(|first| first == printed);
                ensure!(
                    printed.contains(OBJECT) && same,
                    "{name} made something else: {printed}"
                );
            }
        }
        Ok(())
    }
}
