// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `cargo run -p daxd-fuzz --example seeds DIR`: writes the seeds of all targets below DIR.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use daxd_fuzz::targets;
use rustix::fs::Mode;

fn main() -> ExitCode {
    let Some(dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: seeds DIR");
        return ExitCode::from(2);
    };
    match write(&dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("seeds: {}: {error}", dir.display());
            ExitCode::FAILURE
        }
    }
}

fn write(corpora: &Path) -> io::Result<()> {
    for target in targets::ALL {
        let seeds = (target.seeds)();
        // The sessions that were recorded have left the daemon's umask set.
        rustix::process::umask(Mode::WGRP | Mode::WOTH);
        let corpus = corpora.join(target.name);
        fs::create_dir_all(&corpus)?;
        for seed in seeds {
            fs::write(corpus.join(format!("seed-{}", seed.name)), seed.bytes)?;
        }
    }
    Ok(())
}
