// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What guests of one kernel are started from.

use anyhow::Result;
use qemu_guest::artifacts::{KernelSpec, Progress, QemuSpec};
use qemu_guest::vm::{Parts, Wanted};

/// For the sides on persistent memory, beyond those of every guest.
const MODULES: [&str; 3] = ["virtio_pmem", "ext4", "xfs"];
/// Checksums that these ask for by name, and what a kernel may have built in.
const OPTIONAL_MODULES: [&str; 3] = ["crc32c_generic", "crc32c_intel", "nd_pmem"];

/// QEMU, a kernel, and an initramfs.
#[derive(Debug)]
pub struct KernelParts {
    /// As the user named it.
    pub spec: String,
    /// The QEMU, as the user named it.
    pub qemu: String,
    /// All of it.
    pub parts: Parts,
}

impl KernelParts {
    /// Fetches and builds what is not there yet.
    ///
    /// # Errors
    ///
    /// If something is neither there nor to be had.
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
