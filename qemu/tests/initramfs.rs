// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! An initramfs as a caller makes it, from an own kernel's folder of modules, without network.

use std::fs;
use std::path::PathBuf;

use qemu_guest::artifacts::{Cache, Kernel, Progress};
use qemu_guest::initramfs::{Initramfs, InitramfsError};
use tempfile::TempDir;

struct Fixture {
    folder: TempDir,
    kernel: Kernel,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let modules = folder.path().join("modules");
        fs::create_dir(&modules).unwrap();
        fs::write(modules.join("modules.builtin"), "kernel/fs/fuse/fuse.ko\n").unwrap();
        fs::write(folder.path().join("init"), "#!/bin/sh\n").unwrap();
        let kernel = Kernel {
            image: folder.path().join("bzImage"),
            modules_dir: Some(modules),
            release: "1.0".to_owned(),
            label: "own".to_owned(),
            config: None,
        };
        Self { folder, kernel }
    }

    fn plan(&self) -> Initramfs {
        Initramfs::builder(&self.folder.path().join("init")).modules(&self.kernel, &["fuse"])
    }

    fn build(&self, plan: &Initramfs) -> Result<PathBuf, InitramfsError> {
        plan.build(&Cache::at(&self.folder.path().join("cache"), Progress::silent()).unwrap())
    }
}

#[test]
fn the_same_inputs_give_the_same_archive_and_others_another() {
    let fixture = Fixture::new();
    let first = fixture.build(&fixture.plan()).unwrap();
    let built = fs::metadata(&first).unwrap().modified().unwrap();
    assert_eq!(fixture.build(&fixture.plan()).unwrap(), first);
    assert_eq!(
        fs::metadata(&first).unwrap().modified().unwrap(),
        built,
        "it was built anew"
    );

    let more = fixture
        .build(&fixture.plan().contents("/etc/motd", "hello", 0o644))
        .unwrap();
    assert_ne!(more, first);
    assert!(String::from_utf8_lossy(&fs::read(&more).unwrap()).contains("hello"));
    fs::write(fixture.folder.path().join("init"), "#!/bin/sh\nexit\n").unwrap();
    assert_ne!(fixture.build(&fixture.plan()).unwrap(), first);
}

#[test]
fn a_damaged_archive_is_built_again() {
    let fixture = Fixture::new();
    let path = fixture.build(&fixture.plan()).unwrap();
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    bad[100] ^= 1;
    fs::write(&path, bad).unwrap();
    assert_eq!(
        fs::read(fixture.build(&fixture.plan()).unwrap()).unwrap(),
        good
    );
}

#[test]
fn the_cache_keeps_a_limited_number_of_archives() {
    let fixture = Fixture::new();
    for number in 0..20 {
        fixture
            .build(
                &fixture
                    .plan()
                    .contents("/number", format!("{number}"), 0o644),
            )
            .unwrap();
    }
    let kept = fs::read_dir(fixture.folder.path().join("cache/artifacts"))
        .unwrap()
        .count();
    assert_eq!(kept, 16);
}

#[test]
fn what_can_not_go_in_is_an_error_and_leaves_nothing() {
    let fixture = Fixture::new();
    let missing = fixture.plan().modules(&fixture.kernel, &["virtiofs"]);
    assert!(matches!(
        fixture.build(&missing),
        Err(InitramfsError::Modules { .. })
    ));
    let outside = fixture.plan().contents("/../etc/shadow", "", 0o600);
    assert!(matches!(
        fixture.build(&outside),
        Err(InitramfsError::Path(_))
    ));
    let gone = fixture
        .plan()
        .file("/bin/gone", &fixture.folder.path().join("gone"), 0o755);
    assert!(matches!(
        fixture.build(&gone),
        Err(InitramfsError::Read { .. })
    ));
    fixture
        .build(&fixture.plan().optional_modules(&["virtiofs"]))
        .unwrap();

    let cache = fixture.folder.path().join("cache");
    assert_eq!(fs::read_dir(cache.join("tmp")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(cache.join("artifacts")).unwrap().count(), 1);
}
