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
    /// Builds kernels from Debian's source of Linux 6.12: some minutes each
    Build(BuildArgs),
    /// Fetches stock kernels of Debian
    Fetch(FetchArgs),
}

/// Which kernels to build.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// build:6.12, build:6.12+seed, build:6.12+nowait or build:6.12+nowake
    #[arg(value_name = "NAME", required = true, value_parser = built)]
    pub names: Vec<BuiltKernel>,

    /// All of them
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

fn built(text: &str) -> Result<BuiltKernel, String> {
    let known = BuiltKernel::ALL.map(|kernel| (kernel.label(), kernel));
    choose(text, &known, "is none that is built")
}

fn debian(text: &str) -> Result<DebianKernel, String> {
    let known = DebianKernel::ALL.map(|kernel| (kernel.label(), kernel));
    choose(text, &known, "is none that is fetched")
}

fn choose<K: Copy>(text: &str, known: &[(&str, K)], is_not: &str) -> Result<K, String> {
    let found = known.iter().find(|(label, _)| *label == text);
    found.map(|(_, kernel)| *kernel).ok_or_else(|| {
        let labels: Vec<&str> = known.iter().map(|(label, _)| *label).collect();
        format!("it {is_not}; use {}", labels.join(", "))
    })
}
