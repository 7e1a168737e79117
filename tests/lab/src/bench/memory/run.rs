// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run: parts, guests, reports.

use std::{
    fs,
    io::Write,
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
    model::{Guests, Kernel},
};
use lab_report::model::utc;
use qemu_guest::fetch::{KernelSpec, Progress, kernel::DebianKernel, virtiofsd};

use super::MemoryArgs;
use crate::{
    bench::reports::{self, Measured, Places},
    cli::Status,
    signals::Noted,
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
    let status = reports::run(&places, || measured(args), out)?;
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

fn measured(args: &MemoryArgs) -> Result<Measured<MemoryRun>> {
    let signal = Noted::catch().context("can't catch signals")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let goes_on = || signal.number().is_none();
    Ok(match runtime.block_on(in_guests(args, &goes_on))? {
        Some(run) => Measured::All(Box::new(run)),
        None => Measured::Signalled(signal.number().unwrap_or_default()),
    })
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
        guests: guests(args, &kernel).await?,
        file: args.size().bytes(),
        series,
    }))
}

async fn guests(args: &MemoryArgs, kernel: &KernelParts) -> Result<Guests> {
    let parts = &kernel.parts;
    let accel = parts.accel(args.accel.into()).await?.accel;
    Ok(Guests {
        qemu: parts.qemu.version().to_string(),
        accel: format!("{accel:?}").to_lowercase(),
        cpus: guest_vm::VmSpec::default().cpus.get(),
        memory_mib: args.memory().bytes() >> 20,
        kernels: vec![Kernel {
            spec: kernel.spec.clone(),
            release: parts.kernel.release.clone(),
        }],
    })
}
