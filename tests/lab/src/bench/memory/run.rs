// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run: parts, guests, reports.

use std::{
    fs,
    io::Write,
    slice,
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, Result};
use dax_bench::{
    files::file_system,
    model::Host,
    results::{names, read},
};
use dax_reclaim::{
    host::KernelParts,
    memory::{MemoryRun, PICTURE, Plan, SCHEMA, Watch, measure, picture},
};
use lab_report::model::utc;
use qemu_guest::artifacts::{KernelSpec, Progress, kernel::DebianKernel, virtiofsd};

use super::MemoryArgs;
use crate::{
    bench::{
        reclaim::guests,
        reports::{self, Places},
    },
    cli::Status,
};

/// Measures what the options name, and reports it.
///
/// # Errors
///
/// If something can't be measured or written.
pub fn run(args: &MemoryArgs, out: &mut dyn Write) -> Result<Status> {
    let places = Places {
        from: args.from.as_deref(),
        out: &args.out,
        into: args.into.as_deref(),
    };
    let measured = || reports::until_signal(async |goes_on| in_guests(args, goes_on).await);
    let status = reports::run(&places, measured, out)?;
    if status == Status::Success {
        draw(args)?;
    }
    Ok(status)
}

/// The picture, beside the run's other files and the document.
fn draw(args: &MemoryArgs) -> Result<()> {
    let svg = picture(&read::<MemoryRun>(&args.out.join(names::RESULTS))?);
    let beside = args.into.iter().map(|path| path.with_file_name(PICTURE));
    for path in beside.chain([args.out.join(PICTURE)]) {
        fs::write(&path, &svg).with_context(|| format!("can't write {}", path.display()))?;
    }
    Ok(())
}

/// None if a signal came.
async fn in_guests(args: &MemoryArgs, goes_on: &dyn Fn() -> bool) -> Result<Option<MemoryRun>> {
    let (began, started) = (Instant::now(), utc(SystemTime::now()));
    let host = Host::here(file_system(&args.place));
    let usual = KernelSpec::Debian(DebianKernel::V6_12);
    let kernel = args.kernel.as_ref().unwrap_or(&usual);
    let kernel = KernelParts::obtain(kernel, &args.qemu.spec(), &[], Progress::auto())?;
    let virtiofsd =
        virtiofsd::obtain(&kernel.parts.cache).context("no virtiofsd to compare with")?;
    let plan = Plan {
        sides: args.sides(),
        accesses: args.accesses(),
        guests: args.counts(),
        file: args.size(),
        memory: args.memory(),
        place: &args.place,
        kernel: &kernel,
        virtiofsd: &virtiofsd.path,
        accel: args.accel.into(),
    };
    let watch = Watch {
        goes_on,
        progress: &|what| eprintln!("daxlab bench memory: {what}"),
    };
    let Some(series) = measure(&plan, &watch).await? else {
        return Ok(None);
    };
    Ok(Some(MemoryRun {
        schema: SCHEMA,
        lab_version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        took_s: began.elapsed().as_secs(),
        command: std::env::args().collect(),
        host,
        guests: guests::about(args.accel, args.memory(), slice::from_ref(&kernel)).await?,
        file: args.size().bytes(),
        series,
    }))
}
