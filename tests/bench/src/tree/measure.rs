// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs the benchmark: guests, chores, rounds.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use dax_cases::host::pmem_image;
use dax_measure::{Order, Turn, turns};
use qemu_guest::accel::AccelChoice;
use qemu_guest::artifacts::source_tools::BIN;
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::{Vm, VmSpec, agent::ExecRequest};

use super::{ChoreResult, Policy, Repository, chores::Chore, results::Times, source::Shape};
use crate::guests::{IdleGuest, KernelParts, MEMORY, Watch};
use crate::reclaim::Side;
use crate::system::ProcessTree;

/// The share's tag.
pub(super) const TAG: &str = "tree";
/// The mount point of the share in a guest that works on a copy.
const ORIGINAL: &str = "/mnt/original";
/// Room for the tree and its history on persistent memory.
const IMAGE: ByteSize = ByteSize::mib(1024);
/// The mount point of the tree in the guest.
const MOUNT_POINT: &str = "/mnt/tree";
/// How long a chore may take in an emulated guest: most chores wait for the daemon once for each
/// file.
const DEADLINE: Duration = Duration::from_secs(900);

/// Boots a guest and mounts the tree, or makes a copy of it.
///
/// # Errors
///
/// If a step fails. Nothing is left behind then.
pub async fn start(
    name: &str,
    policy: Policy,
    kernel: &KernelParts,
    repository: &Repository,
    window: ByteSize,
    virtiofsd: &Path,
    accel: AccelChoice,
) -> Result<IdleGuest> {
    let mut spec = VmSpec {
        accel,
        memory: MEMORY,
        ..VmSpec::default()
    };
    if let Some(fs) = policy.copy().and_then(Side::image) {
        let image = repository.image(name);
        spec.pmem.push(pmem_image(&image, fs, IMAGE)?);
    }
    let spec = spec.share(policy.share(&repository.path(), window, virtiofsd));
    let ready = async |vm: &Vm| match policy.copy() {
        None => vm.mount(TAG, MOUNT_POINT, "").await,
        Some(side) => copy(vm, side).await,
    };
    let (guest, ()) = IdleGuest::start(name, &kernel.parts, spec, ready).await?;
    Ok(guest)
}

/// Makes a file system and copies the tree to it. The copies have other inodes than the index
/// records, so git reads all files once and updates the index.
async fn copy(vm: &Vm, side: Side) -> Result<()> {
    let (source, kind, options) = side.file_system();
    vm.mount_device(source, MOUNT_POINT, kind, options).await?;
    vm.mount(TAG, ORIGINAL, "").await?;
    let copy = format!("cp -a {ORIGINAL}/. {MOUNT_POINT}/ && umount {ORIGINAL}");
    let refresh = format!("{BIN}/git -C {MOUNT_POINT} update-index -q --refresh");
    for line in [copy, refresh] {
        let request = ExecRequest::new(["sh", "-c", &line]).env("HOME", "/root");
        let output = vm.agent().run_within(DEADLINE, request, &[]).await?;
        let said = output.stderr_text();
        ensure!(output.status.success(), "{line}: {}: {said}", output.status);
    }
    Ok(())
}

/// Lets all sides take turns at each chore: with empty caches, and once more. `None` if it was
/// stopped.
///
/// # Errors
///
/// If a chore fails, or has another result than expected.
pub async fn measure(
    guests: &[IdleGuest],
    shape: Shape,
    rounds: u32,
    watch: &Watch<'_>,
) -> Result<Option<Vec<ChoreResult>>> {
    let mut results = Vec::new();
    let mut first = None;
    for &chore in Chore::ALL {
        let none = || guests.iter().map(|one| Times::of(&one.name)).collect();
        let mut both: [Vec<Times>; 2] = [none(), none()];
        for Turn { side, round } in turns(Order::BackAndForth, 0, rounds, guests.len()) {
            let guest = &guests[side];
            if !(watch.goes_on)() {
                return Ok(None);
            }
            let (name, round) = (chore.name(), round.unwrap_or(0) + 1);
            (watch.progress)(&format!(
                "{name}, round {round} of {rounds}, {}",
                guest.name
            ));
            let agent = guest.vm().agent();
            agent.sync().await?;
            let caches = "/proc/sys/vm/drop_caches";
            agent.write_file(caches, 0o200, b"3").await?;
            for times in &mut both {
                let once = once(guest, chore, shape, &mut first).await;
                let [time, cpu] = once.with_context(|| guest.name.clone())?;
                times[side].seconds.push(time.as_secs_f64());
                times[side].daemon_cpu_s.push(cpu.as_secs_f64());
            }
        }
        for (caches, times) in ["empty", "warm"].into_iter().zip(both) {
            results.push(ChoreResult::new(chore.name(), caches, times));
        }
    }
    Ok(Some(results))
}

/// The duration of a chore, and the daemon's processor time.
async fn once(
    guest: &IdleGuest,
    chore: Chore,
    shape: Shape,
    first: &mut Option<String>,
) -> Result<[Duration; 2]> {
    let cpu = || {
        guest
            .daemon
            .as_ref()
            .map_or(Duration::ZERO, ProcessTree::cpu)
    };
    let (before, began) = (cpu(), Instant::now());
    let request = chore.request(MOUNT_POINT, shape);
    let agent = guest.vm().agent();
    let output = agent.run_within(DEADLINE, request, &[]).await?;
    let took = [began.elapsed(), cpu() - before];
    chore.check(&output, shape, first.as_deref())?;
    if chore == Chore::Compile {
        first.get_or_insert(output.stdout_text());
    }
    Ok(took)
}
