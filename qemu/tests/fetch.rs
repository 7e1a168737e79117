// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Fetches all there is to fetch from this machine's Debian mirror, into an empty cache.
//!
//! It moves some 330 MB, so it runs only when asked for:
//! `cargo test -p qemu-guest --test fetch -- --ignored`. The guest tests fetch the same things, into
//! the cache that is shared with the command.

use std::path::PathBuf;
use std::time::Instant;

use qemu_guest::artifacts::kernel::DebianKernel;
use qemu_guest::artifacts::{Cache, Kernel, KernelSpec, Progress, Qemu, QemuSpec, busybox};
use qemu_guest::initramfs::Initramfs;

/// Modules of which each kernel has some built in, some as modules, and some not at all.
const MODULES: [&str; 8] = [
    "virtio_pci",
    "virtio_console",
    "virtiofs",
    "virtio_blk",
    "virtio_pmem",
    "nd_pmem",
    "ext4",
    "xfs",
];

/// Loads the modules as the agent does, says how that went, and ends the guest.
const INIT: &str = "#!/bin/busybox sh
uname -r
while read -r name; do insmod /lib/modules/load/$name || echo FAILED $name; done </lib/modules/load.list
mount -t proc proc /proc
cat /proc/filesystems | tr '\\n' ' '
echo LOADED
poweroff -f
";

fn everything(cache: &Cache) -> (Qemu, Vec<Kernel>, PathBuf) {
    let qemu = Qemu::obtain(&QemuSpec::Stock, cache).unwrap();
    let kernel = |kernel| Kernel::obtain(&KernelSpec::Debian(kernel), None, cache).unwrap();
    (
        qemu,
        DebianKernel::ALL.map(kernel).to_vec(),
        busybox::obtain(cache).unwrap(),
    )
}

#[test]
#[ignore = "it fetches some 330 MB"]
fn everything_is_fetched_once_and_works() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let open = || Cache::at(root, Progress::auto()).unwrap();
    for kernel in DebianKernel::ALL {
        let there = Kernel::cached(&KernelSpec::Debian(kernel), &open()).unwrap();
        assert!(there.is_none(), "an empty cache has {}", kernel.label());
    }
    let (qemu, kernels, busybox) = everything(&open());

    let printed = qemu.command().arg("--version").output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains(&qemu.version().to_string()), "{printed}");
    assert!(busybox.is_file());
    let init = root.join("init");
    std::fs::write(&init, INIT).unwrap();
    for kernel in &kernels {
        assert!(kernel.image.is_file(), "{}", kernel.label);
        assert!(
            kernel.config.as_ref().unwrap().is_file(),
            "{}",
            kernel.label
        );
        assert!(
            kernel
                .modules_dir
                .as_ref()
                .unwrap()
                .ends_with(&kernel.release),
            "{}",
            kernel.label
        );
        let archive = Initramfs::builder(&init)
            .busybox(&busybox)
            .modules(kernel, &MODULES);
        let archive = archive
            .optional_modules(&["crc32c_generic"])
            .build(&open())
            .unwrap();
        eprintln!(
            "{}: {} {}",
            kernel.label,
            kernel.image.display(),
            archive.display()
        );
    }

    let first = &kernels[0];
    let spec = KernelSpec::Image(first.image.clone());
    let own = Kernel::obtain(&spec, first.modules_dir.as_deref(), &open()).unwrap();
    assert_eq!(own.release, first.release);
    assert_eq!(own.modules_dir, first.modules_dir);

    let begun = Instant::now();
    for kernel in &kernels {
        let spec = kernel.label.parse().unwrap();
        let there = Kernel::cached(&spec, &open()).unwrap();
        let there = there.map(|there| there.image);
        assert_eq!(there.as_ref(), Some(&kernel.image), "{}", kernel.label);
    }
    assert_eq!(busybox::cached(&open()).unwrap(), Some(busybox));
    eprintln!("checking a warm cache took {:?}", begun.elapsed());
}
