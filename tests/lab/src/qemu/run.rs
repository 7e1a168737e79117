// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs `daxlab qemu`.

use std::io;

use anyhow::Result;
use qemu_guest::artifacts::{Cache, Progress, Qemu, QemuSpec};

use super::{QemuArgs, args::Action, list};
use crate::cli::Status;

/// Lists QEMUs, or builds one. Prints the name, version and program of the QEMU that was built.
///
/// # Errors
///
/// If the cache can't be used, or the QEMU can't be built.
pub fn run(args: &QemuArgs) -> Result<Status> {
    let cache = Cache::open(Progress::auto())?;
    match args.action {
        Action::List => list::write(&cache, &mut io::stdout().lock())?,
        Action::Build => {
            let qemu = Qemu::obtain(&QemuSpec::Series, &cache)?;
            let program = qemu.argv()[0].display();
            println!("{} {} {program}", QemuSpec::Series, qemu.version());
        }
    }
    Ok(Status::Success)
}
