// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::*;
use crate::cases::{self, KernelKind};

/// The programs of all cases that have one, by the cases' names.
fn programs() -> Vec<(String, String)> {
    let all = cases::all().into_iter();
    all.filter_map(|case| Some((case.name(), program(case).ok()?)))
        .collect()
}

#[test]
fn a_program_is_whole_and_fits_in_a_mail() {
    let programs = programs();
    assert!(programs.len() > 100, "only {}", programs.len());
    for (name, text) in programs {
        assert!(
            text.lines().count() <= 100,
            "{name}: {}",
            text.lines().count()
        );
        assert!(!text.contains('@'), "{name}: {text}");
        assert!(text.contains(&format!("// {name}: ")), "{name}");
    }
}

#[test]
fn each_finding_has_a_program_or_a_reason_of_its_own() {
    let no_finding = stories::body("none").unwrap_err();
    let kinds = [KernelKind::Stock, KernelKind::Newer];
    let mut findings = BTreeSet::new();
    let mut shown = BTreeSet::new();
    for case in cases::all() {
        let Some(finding) = kinds.iter().find_map(|kind| case.finding(*kind)) else {
            continue;
        };
        findings.insert(finding);
        match program(case) {
            Ok(_) => _ = shown.insert(finding),
            Err(reason) if reason != no_finding => _ = shown.insert(finding),
            Err(_) => {}
        }
    }
    // These are suspicions that no kernel confirmed.
    let unconfirmed = ["6", "7", "8", "10", "21", "22", "23", "25"];
    let silent: Vec<_> = findings.difference(&shown).collect();
    assert!(
        silent.iter().all(|finding| unconfirmed.contains(*finding)),
        "{silent:?}"
    );
}

#[test]
fn a_cells_program_makes_its_own_removal_under_its_own_pin() {
    let of = |pin, removal| {
        let fs = FileSystem::Xfs;
        program(Case::Matrix { fs, pin, removal }).unwrap()
    };
    let text = of(Pin::Vmsplice, RemovalKind::TruncateMiddle);
    assert!(text.contains("if (truncate(\"file\", 2101248))"), "{text}");
    assert!(text.contains("vmsplice(ends[1]"), "{text}");
    let text = of(Pin::AioWrite, RemovalKind::Clone);
    assert!(text.contains("IOCB_CMD_PWRITE"), "{text}");
    assert!(
        text.contains("ioctl(fd, FICLONERANGE, &(struct file_clone_range){ other, "),
        "{text}"
    );
}

/// Those that are equal but for their comments are compiled once.
#[test]
fn every_program_compiles_without_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("show.c");
    let mut seen = BTreeSet::new();
    for (name, text) in programs() {
        let code = text.split_once("#define").unwrap().1.to_owned();
        if !seen.insert(code) {
            continue;
        }
        fs::write(&source, &text).unwrap();
        let gcc = Command::new("gcc")
            .args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror"])
            .args([
                "-Wno-unused-variable",
                "-Wno-unused-function",
                "-Wno-unused-result",
            ])
            .arg("-Wno-unused-but-set-variable")
            .arg(&source)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&gcc.stderr);
        assert!(gcc.status.success(), "{name}: {said}");
    }
}
