// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Finds the daemons' programs.

use std::env;
use std::path::PathBuf;

use super::DaemonError;

/// The variable that names this project's daemon.
const DAXD: &str = "VIRTIOFS_DAXD";
/// The variable that names the daemon without a window.
const VIRTIOFSD: &str = "VIRTIOFSD";

/// This project's daemon: the program that `VIRTIOFS_DAXD` names, or the one that was built beside
/// this program.
///
/// # Errors
/// [`DaemonError::NoProgram`].
pub fn daxd() -> Result<PathBuf, DaemonError> {
    let program = match env::var_os(DAXD) {
        Some(named) => PathBuf::from(named),
        None => beside("virtiofs-daxd"),
    };
    if program.is_file() {
        return Ok(program);
    }
    let variable = DAXD;
    Err(DaemonError::NoProgram { program, variable })
}

/// Another daemon, if `VIRTIOFSD` names one.
///
/// # Errors
/// [`DaemonError::NoProgram`] if there is no such program.
pub fn virtiofsd() -> Result<Option<PathBuf>, DaemonError> {
    match env::var_os(VIRTIOFSD).map(PathBuf::from) {
        Some(program) if !program.is_file() => {
            let variable = VIRTIOFSD;
            Err(DaemonError::NoProgram { program, variable })
        }
        named => Ok(named),
    }
}

/// A program in this program's folder, or one folder above: tests are in `deps`.
fn beside(name: &str) -> PathBuf {
    let this = env::current_exe().unwrap_or_default();
    let mut folders = this.ancestors().skip(1).take(2);
    let found = folders
        .clone()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        folders
            .next()
            .map(|folder| folder.join(name))
            .unwrap_or_default()
    })
}
