// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guests of a run, from their start to their end.

use std::time::Duration;

use anyhow::{Context as _, Result};
use dax_reclaim::{
    host::{Contestant, Field, Ground, IN_MEMORY, KernelParts, MEMORY, Side},
    model::{Guests, Kernel, SideInfo},
};
use qemu_guest::artifacts::{KernelSpec, Progress, QemuSpec, kernel::DebianKernel, virtiofsd};
use qemu_guest::vm::machine::ByteSize;

use super::{AccelArg, ReclaimArgs};

/// Everything that guests are started from, for each kernel.
pub(super) fn kernels(args: &ReclaimArgs) -> Result<Vec<KernelParts>> {
    let usual = [KernelSpec::Debian(DebianKernel::V6_12)];
    let specs = match args.kernels.is_empty() {
        true => &usual[..],
        false => &args.kernels[..],
    };
    let usual = [QemuSpec::from_environment()];
    let qemus = match args.qemus.is_empty() {
        true => &usual[..],
        false => &args.qemus[..],
    };
    let mut all = Vec::new();
    for kernel in specs {
        for qemu in qemus {
            all.push(KernelParts::obtain(kernel, qemu, &[], Progress::auto())?);
        }
    }
    Ok(all)
}

/// A side's name on one kernel and QEMU: only what differs between the guests is in it.
fn name(side: &Side, one: &KernelParts, all: &[KernelParts]) -> String {
    let kernel = all.iter().any(|other| other.spec != one.spec);
    let qemu = all.iter().any(|other| other.qemu != one.qemu);
    match (kernel, qemu) {
        (false, false) => side.to_string(),
        (true, false) => format!("{side}@{}", one.spec),
        (false, true) => format!("{side}@{}", one.qemu),
        (true, true) => format!("{side}@{}@{}", one.spec, one.qemu),
    }
}

/// Starts all guests, one after the other.
pub(super) async fn start(
    args: &ReclaimArgs,
    kernels: &[KernelParts],
    working: u64,
    goes_on: &dyn Fn() -> bool,
) -> Result<Option<Field>> {
    let windows = args.windows();
    let largest = windows
        .iter()
        .map(|window| window.bytes())
        .max()
        .unwrap_or(0);
    let ground = Ground::make(IN_MEMORY.as_ref(), working, largest)?;
    let cache = &kernels[0].parts.cache;
    let virtiofsd = virtiofsd::obtain(cache).context("no virtiofsd to compare with")?;
    let mut contestants = Vec::new();
    let sides: Vec<Side> = args
        .kinds()
        .iter()
        .flat_map(|kind| kind.sides(&windows))
        .collect();
    for side in sides {
        for kernel in kernels {
            if !goes_on() {
                return Ok(None);
            }
            let name = name(&side, kernel, kernels);
            eprintln!("daxlab bench reclaim: starting {name}");
            let guest = (args.accel.into(), MEMORY);
            let started =
                Contestant::start(name, side, kernel, &ground, &virtiofsd.path, guest).await?;
            contestants.push(started);
        }
    }
    Ok(Some(Field {
        contestants,
        ground,
        window: windows[0].bytes(),
    }))
}

/// What all guests have in common.
pub(in crate::bench) async fn about(
    accel: AccelArg,
    memory: ByteSize,
    kernels: &[KernelParts],
) -> Result<Guests> {
    let accel = kernels[0].parts.accel(accel.into()).await?.accel;
    Ok(Guests {
        qemu: qemus(kernels),
        accel: format!("{accel:?}").to_lowercase(),
        cpus: qemu_guest::vm::VmSpec::default().cpus.get(),
        memory_mib: memory.bytes() >> 20,
        kernels: kernels
            .iter()
            .map(|kernel| Kernel {
                spec: kernel.spec.clone(),
                release: kernel.parts.kernel.release.clone(),
            })
            .collect(),
    })
}

/// Versions, with names where there are several.
fn qemus(kernels: &[KernelParts]) -> String {
    let describe = |one: &KernelParts| format!("{} {}", one.qemu, one.parts.qemu.version());
    let mut all: Vec<String> = kernels.iter().map(describe).collect();
    all.sort();
    all.dedup();
    match all.as_slice() {
        [_] => kernels[0].parts.qemu.version().to_string(),
        several => several.join(", "),
    }
}

/// What is compared.
pub(super) fn sides(field: &Field) -> Vec<SideInfo> {
    let info = |one: &Contestant| SideInfo {
        name: one.name.clone(),
        about: one.side.about(),
        command: one.command(),
    };
    field.contestants.iter().map(info).collect()
}

/// Ends all guests in good order.
pub(super) async fn end(field: Field) -> Result<()> {
    let mut ends = Vec::new();
    for one in field.contestants {
        ends.push(one.end().await);
    }
    ends.into_iter().collect()
}

/// How long is left, told to people.
pub(super) fn rest(done: usize, all: usize, elapsed: Duration) -> String {
    match done {
        0 => String::new(),
        _ => {
            let rest = elapsed.as_secs_f64() / done as f64 * (all - done) as f64;
            format!(", about {:.0} s left", rest)
        }
    }
}
