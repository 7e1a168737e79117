// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The options of `daxlab kernel`.

use clap::{Args, Subcommand};
use qemu_guest::artifacts::kernel::{BuiltKernel, DebianKernel};

/// Lists, builds and fetches the kernels that guests can run
///
/// `share --kernel K` gets what it needs by itself; this is to have it beforehand.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0; 2 for a mistake on this command line; 3 if a kernel could not be had."
)]
pub struct KernelArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Lists all kernels that have names, and which of them are in the cache
    List,
    /// Builds kernels from Debian's sources of Linux: some minutes each
    Build(BuildArgs),
    /// Fetches stock kernels of Debian
    Fetch(FetchArgs),
}

/// Which kernels to build.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// build:BASE or build:BASE+CHANGE, such as build:6.12+seed; `daxlab kernel list` names them, and
    /// `daxlab mutants --list` the mutants
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<BuiltKernel>,

    /// All of them but the mutants
    #[arg(long, exclusive = true)]
    pub all: bool,
}

/// Which kernels to fetch.
#[derive(Debug, Args)]
pub struct FetchArgs {
    /// debian:6.1, debian:6.12 or debian:latest
    #[arg(value_name = "NAME", required = true, value_parser = debian)]
    pub names: Vec<DebianKernel>,

    /// All of them
    #[arg(long, exclusive = true)]
    pub all: bool,
}

fn debian(text: &str) -> Result<DebianKernel, String> {
    let all = DebianKernel::ALL;
    let found = all.into_iter().find(|kernel| kernel.label() == text);
    found.ok_or_else(|| {
        let labels = all.map(DebianKernel::label).join(", ");
        format!("it is none that is fetched; use {labels}")
    })
}
