// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs `daxlab kernel`.

use std::io;

use anyhow::Result;
use qemu_guest::artifacts::{
    Cache, Kernel, KernelSpec, Progress,
    kernel::{BuiltKernel, DebianKernel},
};

use super::{KernelArgs, args::Action, list};
use crate::cli::Status;

/// Lists kernels, or fetches and builds them. Prints the name, release and image of each kernel
/// that it has got.
///
/// # Errors
///
/// If the cache can't be used, or a kernel can't be fetched or built. The kernels before that one
/// are kept.
pub fn run(args: KernelArgs) -> Result<Status> {
    let cache = Cache::open(Progress::auto())?;
    match args.action {
        Action::List => list::write(&cache, &mut io::stdout().lock())?,
        Action::Build(args) => {
            let all = BuiltKernel::named().collect();
            let names = if args.all { all } else { args.names };
            get(names.into_iter().map(KernelSpec::Built), &cache)?;
        }
        Action::Fetch(args) => {
            let all = DebianKernel::ALL.to_vec();
            let names = if args.all { all } else { args.names };
            get(names.into_iter().map(KernelSpec::Debian), &cache)?;
        }
    }
    Ok(Status::Success)
}

fn get(specs: impl Iterator<Item = KernelSpec>, cache: &Cache) -> Result<()> {
    for spec in specs {
        let kernel = Kernel::obtain(&spec, None, cache)?;
        println!("{spec} {} {}", kernel.release, kernel.image.display());
    }
    Ok(())
}
