// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bench tree`: a source tree in guests. `dax-bench` measures.

mod args;

use std::{io::Write, time::Instant};

use anyhow::{Context as _, Result};
use dax_bench::{
    guests::{IdleGuest, KernelParts, MEMORY, Watch, about},
    reclaim::IN_MEMORY,
    tree::{
        self, Repository, measure,
        results::{SCHEMA, TreeRun},
    },
};
use dax_measure::{Head, Side};
use qemu_guest::artifacts::{Cache, Progress, source_tools, virtiofsd};

use super::reports;
use crate::cli::Status;

pub use args::TreeArgs;

/// Measures as the options say, and writes the reports.
///
/// # Errors
///
/// If a measurement or a report fails.
pub fn run(args: &TreeArgs, out: &mut dyn Write) -> Result<Status> {
    let measured = || {
        reports::until_signal("daxlab bench tree", async |watch| {
            in_guests(args, watch).await
        })
    };
    reports::run((&args.report, &args.out), measured, out)
}

/// `None` if a signal came.
async fn in_guests(args: &TreeArgs, watch: &Watch<'_>) -> Result<Option<TreeRun>> {
    let (began, mut head) = (Instant::now(), Head::begin(SCHEMA, IN_MEMORY.as_ref()));
    let kernels = kernels(args)?;
    (watch.progress)("making the tree");
    let repository = Repository::make(IN_MEMORY.as_ref(), args.shape())?;
    let Some(systems) = start(args, &kernels, &repository, watch).await? else {
        return Ok(None);
    };
    let side = |one: &IdleGuest| Side {
        name: one.name.clone(),
        about: String::new(),
        command: one.command(),
    };
    let sides = systems.iter().map(side).collect();
    let chores = measure(&systems, args.shape(), args.rounds(), watch).await?;
    let Some(chores) = chores else {
        return Ok(None);
    };
    for one in systems {
        one.end().await?;
    }
    head.end(began, about(args.accel.into(), MEMORY, &kernels).await?);
    Ok(Some(TreeRun {
        head,
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
    reports::kernels(args.kernel.as_slice(), &args.qemus, &tools)
}

async fn start(
    args: &TreeArgs,
    kernels: &[KernelParts],
    repository: &Repository,
    watch: &Watch<'_>,
) -> Result<Option<Vec<IdleGuest>>> {
    let virtiofsd =
        virtiofsd::obtain(&kernels[0].parts.cache).context("no virtiofsd to compare with")?;
    let mut guests = Vec::new();
    for policy in args.policies() {
        let on = if policy.has_window() {
            kernels.len()
        } else {
            1
        };
        for kernel in &kernels[..on] {
            if !(watch.goes_on)() {
                return Ok(None);
            }
            let name = match on {
                1 => policy.to_string(),
                _ => format!("{policy}@{}", kernel.qemu),
            };
            (watch.progress)(&format!("starting {name}"));
            let (window, accel) = (args.window, args.accel.into());
            let path = &virtiofsd.path;
            let guest = tree::start(&name, policy, kernel, repository, window, path, accel);
            guests.push(guest.await?);
        }
    }
    Ok(Some(guests))
}
