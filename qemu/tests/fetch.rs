// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Fetches all there is to fetch from this machine's Debian mirror, into an empty cache.
//!
//! It moves some 300 MB, so it runs only where `DAXLAB_TEST_FETCH` names the folder to use.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use qemu_guest::fetch::kernel::DebianKernel;
use qemu_guest::fetch::{Cache, Kernel, KernelSpec, Progress, Qemu, busybox};

/// How long it may take to find that all is there and whole.
const WARM: Duration = Duration::from_secs(1);

fn everything(cache: &Cache) -> (Qemu, Vec<Kernel>, PathBuf) {
    let qemu = Qemu::obtain(None, cache).unwrap();
    let kernel = |kernel| Kernel::obtain(&KernelSpec::Debian(kernel), None, cache).unwrap();
    (
        qemu,
        DebianKernel::ALL.map(kernel).to_vec(),
        busybox::obtain(cache).unwrap(),
    )
}

#[test]
fn everything_is_fetched_once_and_works() {
    let Some(root) = std::env::var_os("DAXLAB_TEST_FETCH").map(PathBuf::from) else {
        eprintln!("skipped: DAXLAB_TEST_FETCH names no folder for 700 MB of downloads");
        return;
    };
    let open = || Cache::at(&root, Progress::auto()).unwrap();
    let (qemu, kernels, busybox) = everything(&open());

    let printed = qemu.command().arg("--version").output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.contains(&qemu.version().to_string()), "{printed}");
    assert!(busybox.is_file());
    for kernel in &kernels {
        assert!(kernel.image.is_file(), "{}", kernel.label);
        assert!(
            kernel.config.as_ref().unwrap().is_file(),
            "{}",
            kernel.label
        );
        let modules = kernel.modules_dir.as_ref().unwrap();
        assert!(modules.ends_with(&kernel.release), "{}", kernel.label);
        let builtin = std::fs::read_to_string(modules.join("modules.builtin")).unwrap();
        let module = modules.join("kernel/fs/fuse/virtiofs.ko");
        assert!(
            builtin.contains("fs/fuse/virtiofs.ko") || module.is_file(),
            "{} has no virtiofs",
            kernel.label
        );
    }

    let begun = Instant::now();
    everything(&open());
    let took = begun.elapsed();
    eprintln!("checking a warm cache took {took:?}");
    assert!(took < WARM, "checking a warm cache took {took:?}");
}
