// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run: tree, guests, chores, reports.

use std::{
    io::Write,
    path::Path,
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use dax_bench::{files::file_system, model::Host};
use dax_reclaim::{
    host::{KernelParts, MEMORY},
    model::SideInfo,
    tree::{Contestant, Repository, SCHEMA, TreeRun, Watch, measure},
};
use lab_report::model::utc;
use qemu_guest::artifacts::{
    Cache, KernelSpec, Progress, QemuSpec, kernel::DebianKernel, source_tools, virtiofsd,
};

use super::TreeArgs;
use crate::{
    bench::{
        reclaim::guests,
        reports::{self, Places},
    },
    cli::Status,
};

/// Where a host has memory for files.
const PLACE: &str = "/dev/shm";

/// Measures what the options name, and reports it.
///
/// # Errors
///
/// If something can't be measured or written.
pub fn run(args: &TreeArgs, out: &mut dyn Write) -> Result<Status> {
    let places = Places {
        from: args.from.as_deref(),
        out: &args.out,
        into: args.into.as_deref(),
    };
    let measured = || reports::until_signal(async |goes_on| in_guests(args, goes_on).await);
    reports::run(&places, measured, out)
}

/// None if a signal came.
async fn in_guests(args: &TreeArgs, goes_on: &dyn Fn() -> bool) -> Result<Option<TreeRun>> {
    let (began, started) = (Instant::now(), utc(SystemTime::now()));
    let host = Host::here(file_system(PLACE.as_ref()));
    let kernels = kernels(args)?;
    let progress = |what: &str| eprintln!("daxlab bench tree: {what}");
    progress("making the tree");
    let repository = Repository::make(Path::new(PLACE), args.shape())?;
    let Some(contestants) = start(args, &kernels, &repository, goes_on).await? else {
        return Ok(None);
    };
    let info = |one: &Contestant| SideInfo {
        name: one.name.clone(),
        about: String::new(),
        command: one.command(),
    };
    let sides = contestants.iter().map(info).collect();
    let watch = Watch {
        goes_on,
        progress: &progress,
    };
    let chores = measure(&contestants, args.shape(), args.rounds(), &watch).await?;
    let Some(chores) = chores else {
        return Ok(None);
    };
    for one in contestants {
        one.end().await?;
    }
    Ok(Some(TreeRun {
        schema: SCHEMA,
        lab_version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        took_s: began.elapsed().as_secs(),
        command: std::env::args().collect(),
        host,
        guests: guests::about(args.accel, MEMORY, &kernels).await?,
        rounds: args.rounds(),
        window: args.window.bytes(),
        files: args.shape().files,
        bytes: repository.bytes(),
        sides,
        chores,
    }))
}

/// The kernel with each QEMU.
fn kernels(args: &TreeArgs) -> Result<Vec<KernelParts>> {
    let cache = Cache::open(Progress::auto())?;
    let tools = source_tools::obtain(&cache)?;
    let usual = KernelSpec::Debian(DebianKernel::V6_12);
    let kernel = args.kernel.as_ref().unwrap_or(&usual);
    let one = [QemuSpec::from_environment()];
    let qemus = match args.qemus.is_empty() {
        true => &one[..],
        false => &args.qemus[..],
    };
    let obtain = |qemu| KernelParts::obtain(kernel, qemu, &tools, Progress::auto());
    qemus.iter().map(obtain).collect()
}

async fn start(
    args: &TreeArgs,
    kernels: &[KernelParts],
    repository: &Repository,
    goes_on: &dyn Fn() -> bool,
) -> Result<Option<Vec<Contestant>>> {
    let virtiofsd =
        virtiofsd::obtain(&kernels[0].parts.cache).context("no virtiofsd to compare with")?;
    let mut contestants = Vec::new();
    for policy in args.policies() {
        let on = if policy.has_window() {
            kernels.len()
        } else {
            1
        };
        for kernel in &kernels[..on] {
            if !goes_on() {
                return Ok(None);
            }
            let name = match policy.has_window() && kernels.len() > 1 {
                true => format!("{policy}@{}", kernel.qemu),
                false => policy.to_string(),
            };
            eprintln!("daxlab bench tree: starting {name}");
            let (window, accel) = (args.window, args.accel.into());
            let path = &virtiofsd.path;
            let one = Contestant::start(name, policy, kernel, repository, window, path, accel);
            contestants.push(one.await?);
        }
    }
    Ok(Some(contestants))
}
