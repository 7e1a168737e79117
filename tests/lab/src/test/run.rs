// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run: what is needed, the cases, the reports.

use std::io::Write;
use std::time::{Instant, SystemTime};

use anyhow::{Context as _, Result};
use dax_cases::cases::Case;
use dax_cases::host::RigParts;
use guest_vm::Programs;
use lab_report::model::{Cell, Run, SCHEMA, utc};
use lab_report::{Paint, write_all};
use qemu_guest::fetch::kernel::DebianKernel;
use qemu_guest::fetch::{KernelSpec, Progress};

use super::TestArgs;
use super::cell::Frame;
use super::guests::Guest;
use super::live::Live;
use super::{host, select};
use crate::cli::Status;

/// Plays what the options name.
///
/// # Errors
///
/// If the lab can't begin.
pub fn run(args: &TestArgs, out: &mut dyn Write) -> Result<Status> {
    let cases = select::select(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(async {
        let mut guests = obtain(args)?;
        let run = play(args, &cases, &mut guests).await?;
        write_all(&run, &args.out)?;
        args.format.print(&run, Paint::for_stdout(), out)?;
        for guest in guests {
            guest.end().await?;
        }
        Ok(run.conclusion().into())
    })
}

/// Everything that guests are started from, for each kernel.
fn obtain(args: &TestArgs) -> Result<Vec<Guest>> {
    let actor = Programs::actor()?;
    let default = [KernelSpec::Debian(DebianKernel::V6_12)];
    let kernels = if args.kernels.is_empty() {
        &default[..]
    } else {
        &args.kernels[..]
    };
    let guest = |kernel: &KernelSpec| {
        let modules = match kernel {
            KernelSpec::Image(_) => args.modules.as_deref(),
            _ => None,
        };
        let parts = RigParts::obtain(kernel, modules, &actor, args.accel(), Progress::auto())?;
        Ok(Guest::new(kernel.to_string(), parts))
    };
    kernels.iter().map(guest).collect()
}

async fn play(args: &TestArgs, cases: &[Case], guests: &mut [Guest]) -> Result<Run> {
    let first = guests
        .first()
        .context("there is no kernel")?
        .parts()
        .parts();
    let accel = first.accel(args.accel()).await?;
    let mut run = Run {
        schema: SCHEMA,
        lab_version: env!("CARGO_PKG_VERSION").to_owned(),
        started: utc(SystemTime::now()),
        host: host::describe(
            format!("{:?}", accel.accel),
            first.qemu.version().to_string(),
        ),
        command: std::env::args().collect(),
        shard: args.shard,
        cells: Vec::new(),
    };
    let live = Live::new(cases.len() * guests.len() * args.repeat as usize);
    for case in cases {
        // Kernels take turns within a case, so that what disturbs the host disturbs all of them.
        for repetition in 1..=args.repeat {
            for guest in guests.iter_mut() {
                let cell = one(guest, *case, repetition, &live).await;
                live.cell(&cell);
                run.cells.push(cell);
            }
        }
    }
    Ok(run)
}

async fn one(guest: &mut Guest, case: Case, repetition: u32, live: &Live) -> Cell {
    live.begin(&format!("{} @ {}", case.name(), guest.label));
    let start = Instant::now();
    let (played, seen) = guest.play(case).await;
    let frame = Frame {
        case,
        kernel: &guest.label,
        release: guest.release(),
        kind: guest.kind,
        repetition,
    };
    frame.cell(played, seen, start.elapsed().as_secs_f64())
}
