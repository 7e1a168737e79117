// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guests of benchmarks: the parts that they start from, and how they stay idle during the turn
//! of another guest.
//!
//! An idle guest is not stopped: its clock would jump when it goes on, which Linux takes for a
//! stall.

use anyhow::{Context as _, Result};
use dax_measure::{Guests, Kernel};
use qemu_guest::accel::AccelChoice;
use qemu_guest::artifacts::{KernelSpec, Progress, QemuSpec};
use qemu_guest::vm::machine::ByteSize;
use qemu_guest::vm::{Parts, Vm, VmSpec, Wanted};

use crate::system::ProcessTree;

/// The default memory of a guest.
pub const MEMORY: ByteSize = ByteSize::mib(1024);
/// Tells whether a run goes on, and takes its progress.
pub struct Watch<'a> {
    /// Whether to go on.
    pub goes_on: &'a dyn Fn() -> bool,
    /// Called with the next step.
    pub progress: &'a dyn Fn(&str),
}

/// Modules for the sides on persistent memory, in addition to those of every guest.
const MODULES: [&str; 3] = ["virtio_pmem", "ext4", "xfs"];
/// Checksum modules that these ask for by name, and modules that a kernel may have built in.
const OPTIONAL_MODULES: [&str; 3] = ["crc32c_generic", "crc32c_intel", "nd_pmem"];

/// QEMU, a kernel, and an initramfs.
#[derive(Debug)]
pub struct KernelParts {
    /// The kernel as the user named it.
    pub spec: String,
    /// The QEMU, as the user named it.
    pub qemu: String,
    /// QEMU, kernel and initramfs.
    pub parts: Parts,
}

impl KernelParts {
    /// Fetches and builds the missing parts.
    ///
    /// # Errors
    ///
    /// If a part can't be fetched or built.
    pub fn obtain(
        spec: &KernelSpec,
        qemu: &QemuSpec,
        files: &[(String, std::path::PathBuf)],
        progress: Progress,
    ) -> Result<Self> {
        let wanted = Wanted {
            qemu: qemu.clone(),
            kernel: spec.clone(),
            modules: MODULES.map(str::to_owned).into(),
            optional_modules: OPTIONAL_MODULES.map(str::to_owned).into(),
            programs: files.to_vec(),
            ..Wanted::default()
        };
        Ok(Self {
            spec: spec.to_string(),
            qemu: qemu.to_string(),
            parts: Parts::obtain(&wanted, progress)?,
        })
    }
}

/// A named guest. Its drop kills the guest and its daemon.
pub struct IdleGuest {
    /// Its name in the results.
    pub name: String,
    /// The daemon's processes; `None` without a daemon.
    pub daemon: Option<ProcessTree>,
    vm: Vm,
}

impl IdleGuest {
    /// Boots the guest, and runs a preparation in it.
    ///
    /// # Errors
    ///
    /// If a step fails. Nothing is left behind then.
    pub async fn start<R>(
        name: &str,
        parts: &Parts,
        spec: VmSpec,
        ready: impl AsyncFnOnce(&Vm) -> Result<R>,
    ) -> Result<(Self, R)> {
        let vm = Vm::boot(parts, spec).await;
        let vm = vm.with_context(|| format!("{name}: the guest did not boot"))?;
        let made = ready(&vm).await.with_context(|| {
            let problems = vm.agent().boot().problems.join("\n");
            let console = vm.guest().console_tail();
            format!("{name}: {problems}\nthe guest's console:\n{console}")
        })?;
        let daemon = vm.daemons().first();
        let guest = Self {
            name: name.to_owned(),
            daemon: daemon.map(|daemon| ProcessTree::of(daemon.pid())),
            vm,
        };
        Ok((guest, made))
    }

    /// The guest.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The daemon's command line; empty if there is none.
    pub fn command(&self) -> String {
        let daemon = self.vm.daemons().first();
        daemon
            .map(|daemon| daemon.command_line().to_string())
            .unwrap_or_default()
    }

    /// Shuts the guest down.
    ///
    /// # Errors
    ///
    /// If the guest does not end, or ends with an error.
    pub async fn end(self) -> Result<()> {
        let ended = self.vm.power_off().await;
        ended.with_context(|| format!("{}: the guest's end", self.name))
    }
}

/// The settings that all guests have in common.
///
/// # Errors
///
/// If the check for KVM fails.
pub async fn about(
    accel: AccelChoice,
    memory: ByteSize,
    kernels: &[KernelParts],
) -> Result<Guests> {
    let accel = kernels[0].parts.accel(accel).await?.accel;
    let kernel = |one: &KernelParts| Kernel {
        spec: one.spec.clone(),
        release: one.parts.kernel.release.clone(),
    };
    Ok(Guests {
        qemu: qemus(kernels),
        accel: format!("{accel:?}").to_lowercase(),
        cpus: VmSpec::default().cpus.get(),
        memory_mib: memory.bytes() >> 20,
        kernels: kernels.iter().map(kernel).collect(),
    })
}

/// The versions of the QEMUs, with their names if there are several.
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
