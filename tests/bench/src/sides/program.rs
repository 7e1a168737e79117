// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon's program, before it runs.

use std::{
    io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use super::SideError;

/// A program that serves a share.
#[derive(Clone, Debug)]
pub struct Program {
    /// What its sides are called.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// What it says of itself.
    pub version: Version,
    /// Whether it can have several request queues.
    pub queues: bool,
    /// Whether it can have a window.
    pub window: bool,
}

/// The first line of `--version`.
pub type Version = String;

impl Program {
    /// Asks the program at `path` for its version and its options.
    ///
    /// # Errors
    ///
    /// If it can't be run, or does not know `--help`.
    pub fn at(path: &Path, name: &str) -> Result<Self, SideError> {
        let help = ask(path, "--help")?;
        let version = ask(path, "--version")?;
        Ok(Self {
            name: name.to_owned(),
            path: path.to_owned(),
            version: version.lines().next().unwrap_or("").to_owned(),
            queues: help.contains("--request-queues"),
            window: help.contains("--dax-window"),
        })
    }
}

fn ask(path: &Path, option: &str) -> Result<String, SideError> {
    let failed = |source| SideError::NoDaemon {
        path: path.to_owned(),
        source,
    };
    let Output { status, stdout, .. } = Command::new(path).arg(option).output().map_err(failed)?;
    if !status.success() {
        return Err(failed(io::Error::other(format!(
            "{option} ended with {status}"
        ))));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_daemon_is_told() {
        for path in ["/no/such", "/bin/false"] {
            let error = Program::at(Path::new(path), "x").unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
        }
    }
}
