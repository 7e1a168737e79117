// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The parts that guests are started from: QEMU, a kernel and an initramfs, fetched and built as
//! needed.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::Programs;
use crate::{
    accel::{AccelChoice, Chosen, Prober},
    artifacts::{
        Cache, Kernel, KernelSpec, Progress, Qemu, QemuSpec, busybox, kernel::DebianKernel,
    },
    initramfs::Initramfs,
    vm::machine::{Boot, CommandLine},
};

/// Kernel modules that a guest with shares and an agent needs; those built in are skipped.
const MODULES: [&str; 3] = ["virtio_pci", "virtio_console", "virtiofs"];
/// The guest's init for a person at the serial console, in place of the agent.
pub const CONSOLE_INIT: &str = "/bin/console-init";
/// Its text. It mounts the share named by the kernel argument `share_tag`.
const CONSOLE_INIT_TEXT: &str = include_str!("console-init.sh");

/// The requested parts.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The QEMU.
    pub qemu: QemuSpec,
    /// Whether QEMU survives a lost page of a mapped file (`qemu/guard`).
    pub guard: bool,
    /// The kernel.
    pub kernel: KernelSpec,
    /// Modules that go with a kernel given by its path.
    pub modules_dir: Option<PathBuf>,
    /// Whether guests start from the ELF file in the kernel's image, where QEMU can do that.
    pub unpacked: bool,
    /// Further modules to load, with what they depend on.
    pub modules: Vec<String>,
    /// Further modules to load where the kernel has them.
    pub optional_modules: Vec<String>,
    /// Host files to put into the guest: path there, path here; executable.
    pub programs: Vec<(String, PathBuf)>,
}

/// Everything that guests are started from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// QEMU, with the library that lets it survive lost pages, if that is wanted.
    pub qemu: Qemu,
    /// QEMU without that library.
    pub plain: Qemu,
    /// The kernel.
    pub kernel: Kernel,
    /// The file that guests start from: the kernel's image, or the ELF file in it.
    pub boot_image: PathBuf,
    /// The initramfs with the agent.
    pub initramfs: PathBuf,
    /// The daemon's executable.
    pub daemon: PathBuf,
    /// The cache that the above came from.
    pub cache: Cache,
}

impl Default for Wanted {
    /// Debian's 6.12 under the QEMU that the environment names.
    fn default() -> Self {
        Self {
            qemu: QemuSpec::from_environment(),
            guard: true,
            kernel: KernelSpec::Debian(DebianKernel::V6_12),
            modules_dir: None,
            unpacked: false,
            modules: Vec::new(),
            optional_modules: Vec::new(),
            programs: Vec::new(),
        }
    }
}

impl Parts {
    /// Finds, fetches and builds all parts. Reports what is missing before it fetches anything.
    ///
    /// # Errors
    ///
    /// If a part is missing and can't be fetched or built.
    pub fn obtain(wanted: &Wanted, progress: Progress) -> Result<Self> {
        let programs = Programs::find()?;
        let cache = Cache::open(progress)?;
        let plain = Qemu::obtain(&wanted.qemu, &cache).context("no usable QEMU")?;
        let qemu = match wanted.guard {
            true => plain.clone().preloading(&Programs::guard()?)?,
            false => plain.clone(),
        };
        let modules_dir = wanted.modules_dir.as_deref();
        let kernel = Kernel::obtain(&wanted.kernel, modules_dir, &cache).context("no kernel")?;
        let unpacked = match wanted.unpacked {
            true => kernel.unpacked(&cache).context("no unpacked kernel")?,
            false => None,
        };
        let initramfs = initramfs(wanted, &kernel, &programs, &cache).context("no initramfs")?;
        Ok(Self {
            qemu,
            plain,
            boot_image: unpacked.unwrap_or_else(|| kernel.image.clone()),
            kernel,
            initramfs,
            daemon: programs.daemon,
            cache,
        })
    }

    /// Uses the QEMU without the library, which a lost page of a mapped file kills.
    #[must_use]
    pub fn without_guard(mut self) -> Self {
        self.qemu = self.plain.clone();
        self
    }

    /// QEMU as a command line without arguments for a machine.
    pub fn qemu_line(&self) -> CommandLine {
        CommandLine::of(&self.qemu.command())
    }

    /// The accelerator for `choice`. The cache keeps the result of a probe.
    ///
    /// # Errors
    ///
    /// If KVM was chosen and runs no guest.
    pub async fn accel(&self, choice: AccelChoice) -> Result<Chosen> {
        let memo = self.cache.root().join("kvm-probe.json");
        let prober = Prober::new(self.qemu_line()).remember_in(memo);
        Ok(prober.choose(choice).await?)
    }

    /// Kernel and initramfs, with these further kernel arguments.
    pub fn boot(&self, append: Vec<String>) -> Boot {
        Boot {
            kernel: self.boot_image.clone(),
            initrd: Some(self.initramfs.clone()),
            append,
        }
    }
}

fn initramfs(
    wanted: &Wanted,
    kernel: &Kernel,
    programs: &Programs,
    cache: &Cache,
) -> Result<PathBuf> {
    let names: Vec<&str> = MODULES
        .into_iter()
        .chain(wanted.modules.iter().map(String::as_str))
        .collect();
    let optional: Vec<&str> = wanted.optional_modules.iter().map(String::as_str).collect();
    let mut builder = Initramfs::builder(&programs.agent)
        .busybox(&busybox::obtain(cache)?)
        .modules(kernel, &names)
        .optional_modules(&optional)
        .contents(CONSOLE_INIT, CONSOLE_INIT_TEXT, 0o755);
    for (guest, host) in &wanted.programs {
        builder = builder.file(guest, host, 0o755);
    }
    Ok(builder.build(cache)?)
}
