// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `cargo run -p daxd-fuzz --example seeds DIR`: writes the seeds of all targets below DIR.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIR");
        return ExitCode::from(2);
    };
    match daxd_fuzz::seeds::write(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seeds: {}: {error}", dir.display());
            ExitCode::FAILURE
        }
    }
}
