// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Builds kernels and virtiofsd, each in an empty cache. (QEMU is built by
//! `tests/run.sh`.)
//!
//! It fetches 320 MB and compiles for some twenty minutes, so it runs only when asked for:
//! `cargo test -p qemu-guest --test build -- --ignored`.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use qemu_guest::artifacts::kernel::{Base, BuiltKernel};
use qemu_guest::artifacts::{Cache, Kernel, KernelSpec, Progress, virtiofsd};

/// All kernels that are no mutants, and one mutant of each base.
fn kernels() -> impl Iterator<Item = BuiltKernel> {
    let mutant = |base| BuiltKernel::mutants().find(|mutant| mutant.base() == base);
    BuiltKernel::named().chain(Base::ALL.into_iter().filter_map(mutant))
}

#[test]
#[ignore = "it compiles for some twenty minutes"]
fn every_kernel_is_built_once_and_says_who_it_is() {
    let root = tempfile::tempdir().unwrap();
    let open = || Cache::at(root.path(), Progress::auto()).unwrap();
    let mut images = BTreeSet::new();
    for which in kernels() {
        let spec = KernelSpec::Built(which);
        assert!(Kernel::cached(&spec, &open()).unwrap().is_none(), "{spec}");
        let kernel = Kernel::obtain(&spec, None, &open()).unwrap();
        assert!(
            kernel.release.ends_with(&which.local_version()),
            "{}",
            kernel.release
        );
        let config = fs::read_to_string(kernel.config.unwrap()).unwrap();
        let name = format!("CONFIG_LOCALVERSION=\"{}\"", which.local_version());
        assert!(config.lines().any(|line| line == name), "{spec}");
        let again = Kernel::cached(&spec, &open()).unwrap().unwrap();
        assert_eq!(again.image, kernel.image);
        images.insert(fs::read(kernel.image).unwrap());
    }
    assert_eq!(images.len(), kernels().count());
    // What is built in is gone; what the kernels are made of stays.
    assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
    assert!(!root.path().join("build/bench").exists());
}

#[test]
#[ignore = "it compiles for some minutes"]
fn virtiofsd_is_built_once_and_says_who_it_is() {
    let root = tempfile::tempdir().unwrap();
    let obtain = || {
        let cache = Cache::at(root.path(), Progress::auto()).unwrap();
        virtiofsd::obtain(&cache).unwrap()
    };
    let built = obtain();
    let said = Command::new(&built.path).arg("--version").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), built.version);
    let made = built.path.metadata().unwrap().modified().unwrap();
    let again = obtain().path;
    assert_eq!(again, built.path);
    assert_eq!(again.metadata().unwrap().modified().unwrap(), made);
    assert!(!root.path().join("build/bench").exists());
}
