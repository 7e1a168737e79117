// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `daxlab bench memory`: the host memory of guests that read one file. `dax-bench` measures.
//! `dax-bench`'s.

mod args;

use std::{io::Write, time::Instant};

use anyhow::{Context as _, Result};
use dax_bench::{
    guests::{Watch, about},
    memory::{
        Plan, measure,
        results::{MemoryRun, SCHEMA},
    },
};
use dax_measure::Head;
use qemu_guest::artifacts::virtiofsd;

use super::reports;
use crate::cli::Status;

pub use args::MemoryArgs;

/// Measures as the options say, and writes the reports.
///
/// # Errors
///
/// If a measurement or a report fails.
pub fn run(args: &MemoryArgs, out: &mut dyn Write) -> Result<Status> {
    let measured = || {
        reports::until_signal("daxlab bench memory", async |watch| {
            in_guests(args, watch).await
        })
    };
    reports::run((&args.report, &args.out), measured, out)
}

/// `None` if a signal came.
async fn in_guests(args: &MemoryArgs, watch: &Watch<'_>) -> Result<Option<MemoryRun>> {
    let (began, mut head) = (Instant::now(), Head::begin(SCHEMA, &args.place));
    let kernels = reports::kernels(args.kernel.as_slice(), &[args.qemu.spec()], &[])?;
    let kernel = &kernels[0];
    let virtiofsd =
        virtiofsd::obtain(&kernel.parts.cache).context("no virtiofsd to compare with")?;
    let plan = Plan {
        sides: args.sides(),
        accesses: args.accesses(),
        guests: args.counts(),
        file: args.size(),
        memory: args.memory(),
        place: &args.place,
        kernel,
        virtiofsd: &virtiofsd.path,
        accel: args.accel.into(),
    };
    let Some(series) = measure(&plan, watch).await? else {
        return Ok(None);
    };
    head.end(
        began,
        about(args.accel.into(), args.memory(), &kernels).await?,
    );
    Ok(Some(MemoryRun {
        head,
        file: args.size().bytes(),
        series,
    }))
}
