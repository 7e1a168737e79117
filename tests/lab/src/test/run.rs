// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The order of a run: parts, cases, reports.

use std::fs;
use std::io::Write;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use dax_cases::cases::{Case, KernelKind, Vmm};
use dax_cases::host::RigParts;
use dax_measure::lab::{Run, SCHEMA, write_all};
use dax_measure::{Colour, utc};
use futures::future::join_all;
use qemu_guest::artifacts::kernel::DebianKernel;
use qemu_guest::artifacts::{KernelSpec, Progress, QemuSpec};
use qemu_guest::vm::WindowKind;

use super::TestArgs;
use super::args::HeldToArg;
use super::guests::Kernel;
use super::schedule::Schedule;
use super::{host, mounts, select};
use crate::cli::Status;
use crate::signals::Signals;

/// The folder for guests' logs, in the folder of reports.
const LOGS: &str = "logs";

/// Runs the selected cases.
///
/// # Errors
///
/// If the lab can't start, or a guest does not end in good order.
pub fn run(args: &TestArgs, out: &mut dyn Write) -> Result<Status> {
    let cases = select::select(args)?;
    // An unusable folder is found before hours of work, not after.
    fs::create_dir_all(&args.out).with_context(|| format!("can't use {}", args.out.display()))?;
    // Called before there is a second thread, which would stay in the old namespace.
    mounts::of_our_own()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    runtime.block_on(async {
        let mut kernels = obtain(args)?;
        let vmm = vmm(args, &kernels).await?;
        kernels.iter_mut().for_each(|kernel| kernel.vmm = vmm);
        let mut run = begin(args, &kernels).await?;
        let ended = run_cases(args, &cases, &kernels, &mut run).await?;
        write_all(&run, &args.out)?;
        args.format.print(&run, Colour::for_stdout(), out)?;
        match ended {
            Ended::Signalled(signal) => Ok(Status::Signalled(signal)),
            Ended::Done(ends) => {
                ends.into_iter().collect::<Result<()>>()?;
                Ok(run.conclusion().into())
            }
        }
    })
}

/// How the run ended.
enum Ended {
    /// All cases are run, and the guests ended with these results.
    Done(Vec<Result<()>>),
    /// This signal came, and the guests were killed.
    Signalled(u8),
}

/// The parts of the guests, for each kernel.
fn obtain(args: &TestArgs) -> Result<Vec<Kernel>> {
    let default = [KernelSpec::Debian(DebianKernel::V6_12)];
    let specs = if args.kernels.is_empty() {
        &default[..]
    } else {
        &args.kernels[..]
    };
    let kernel = |spec: &KernelSpec| {
        let modules = args.modules.as_deref().filter(|_| spec.is_own());
        let label = spec.to_string();
        let (accel, qemu) = (args.accel(), args.qemu.spec());
        let parts = RigParts::obtain(spec, modules, accel, &qemu, Progress::auto())?;
        let parts = match args.no_guard {
            true => parts.without_guard(),
            false => parts,
        };
        Ok(Kernel {
            kind: KernelKind::of(known_as(args, &label), parts.release()),
            label,
            vmm: Vmm::Guarded,
            held_to: args.held_to.into(),
            parts,
            shelf: args.out.join(LOGS),
            keep: args.keep,
        })
    };
    specs.iter().map(kernel).collect()
}

/// The label by which a kernel's expectations are found. A kernel that is held to stock counts as
/// one without the lab's change.
fn known_as<'a>(args: &TestArgs, label: &'a str) -> &'a str {
    match (args.held_to, label.split_once('+')) {
        (HeldToArg::Stock, Some((base, _change))) if label.starts_with("build:") => base,
        _ => label,
    }
}

/// What happens to a QEMU that loses a page. It is the same for all kernels. For an unknown QEMU, a
/// guest finds it out.
async fn vmm(args: &TestArgs, kernels: &[Kernel]) -> Result<Vmm> {
    let kind = match (args.qemu.spec(), kernels) {
        (QemuSpec::Series, _) => WindowKind::OneRegion,
        (QemuSpec::Path(_), [first, ..]) => first.parts.parts().window().await?,
        _ => WindowKind::Regions,
    };
    Ok(match (kind, args.no_guard) {
        (WindowKind::OneRegion, _) => Vmm::OneRegion,
        (WindowKind::Regions, true) => Vmm::Unguarded,
        (WindowKind::Regions, false) => Vmm::Guarded,
    })
}

/// A run that has no cells yet.
async fn begin(args: &TestArgs, kernels: &[Kernel]) -> Result<Run> {
    let first = kernels.first().context("there is no kernel")?.parts.parts();
    let accel = first.accel(args.accel()).await?;
    let qemu = first.qemu.version().to_string();
    Ok(Run {
        schema: SCHEMA,
        lab_version: env!("CARGO_PKG_VERSION").to_owned(),
        started: utc(SystemTime::now()),
        host: host::describe(accel.accel.to_string().to_lowercase(), qemu),
        command: std::env::args().collect(),
        shard: args.shard,
        cells: Vec::new(),
    })
}

/// Runs all cases, or as many as are complete before a signal comes.
async fn run_cases(
    args: &TestArgs,
    cases: &[Case],
    kernels: &[Kernel],
    run: &mut Run,
) -> Result<Ended> {
    let mut signals = Signals::catch().context("can't catch signals")?;
    let schedule = Schedule::new(cases, kernels, args.repeat);
    let lanes = join_all((0..args.jobs).map(|_| schedule.work_off()));
    // The branch that is no longer polled is dropped here, and with it all guests.
    let ended = tokio::select! {
        ends = lanes => Ended::Done(ends),
        signal = signals.any() => Ended::Signalled(signal),
    };
    let unplayed = match ended {
        Ended::Signalled(signal) => format!("the run was ended by signal {signal} before it"),
        Ended::Done(_) => "no guest ran it".to_owned(),
    };
    run.cells = schedule.into_cells(&unplayed);
    Ok(ended)
}
