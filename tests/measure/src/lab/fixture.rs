// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Runs for the tests of the reports.

use super::{Cell, Contract, Evidence, Host, Outcome, Run, SCHEMA, Verdict};

/// Text that breaks every format that does not escape it.
pub const HOSTILE: &str =
    "<script>&\"']]>{{ x }}\n# not ok 9 - no\n\x1b[31mred\x1b[0m \u{0} \u{fffe} -->";

/// Every removal of the lab.
pub const REMOVALS: [&str; 23] = [
    "truncate",
    "truncate-mid",
    "o-trunc",
    "punch",
    "zero-range",
    "collapse",
    "insert",
    "fallocate",
    "reflink",
    "dedupe",
    "unlink",
    "evict",
    "drop-caches",
    "dax-flag",
    "umount",
    "reclaim-inline",
    "reclaim-worker",
    "rename-over",
    "host-truncate",
    "host-punch",
    "host-unlink",
    "host-rename-over",
    "host-daemon-killed",
];

/// Every pin of the lab.
pub const PINS: [&str; 10] = [
    "dio-read",
    "dio-write",
    "aio-read",
    "io-uring-read",
    "fuse-dio",
    "vmsplice",
    "zerocopy",
    "process-vm-readv",
    "longterm-uring",
    "longterm-xdp",
];

/// A cell of the matrix that waited as it must.
pub fn waited(kernel: &str, fs: &str, pin: &str, removal: &str) -> Cell {
    Cell {
        case: format!("matrix::{fs}::{pin}::{removal}"),
        kernel: kernel.into(),
        release: "6.12.117".into(),
        fs: fs.into(),
        pin: Some(pin.into()),
        removal: Some(removal.into()),
        repetition: 1,
        contract: Contract::MustWait,
        expected: vec![Outcome::Waited],
        outcome: Outcome::Waited,
        verdict: Verdict::Expected,
        why: "it was blocked in fuse_dax_break_layouts until the release".into(),
        evidence: Evidence {
            steps: vec![
                "3 ms: pinned".into(),
                "9 ms: blocked".into(),
                "20 ms: released".into(),
            ],
            stack: Some("[<0>] fuse_dax_break_layouts+0x1c/0x60\n[<0>] do_truncate+0x70".into()),
            where_it_stood: vec!["share /mnt virtiofs rw,dax=always 0 0".into()],
            wake_us: vec![1200, 1500, 4100],
            ..Evidence::default()
        },
        seconds: 0.25,
    }
}

/// The same cell with another end.
pub fn ended(cell: Cell, outcome: Outcome, verdict: Verdict, why: &str) -> Cell {
    Cell {
        outcome,
        verdict,
        why: why.into(),
        ..cell
    }
}

/// The same cell, not tried.
pub fn skipped(cell: Cell, why: &str) -> Cell {
    Cell {
        evidence: Evidence::default(),
        ..ended(cell, Outcome::NotRun, Verdict::Skipped, why)
    }
}

/// A named case.
pub fn named(kernel: &str, name: &str) -> Cell {
    Cell {
        case: name.into(),
        pin: None,
        removal: None,
        ..waited(kernel, "fuse", "", "")
    }
}

/// A run of these cells.
pub fn run(cells: Vec<Cell>) -> Run {
    Run {
        schema: SCHEMA,
        lab_version: "0.1.0".into(),
        started: "2025-11-25T10:20:00Z".into(),
        host: Host {
            cpu: "EPYC".into(),
            cores: 2,
            accel: "tcg".into(),
            qemu: "11.1.0".into(),
            kernel: "6.1.0".into(),
        },
        command: vec!["daxlab".into(), "test".into(), "--all".into()],
        shard: None,
        cells,
    }
}

/// Two kernels, every verdict, a repeated cell, named cases.
pub fn small() -> Run {
    let (stock, seed) = ("debian:6.12", "build:6.12+seed");
    let splice = || waited(seed, "fuse", "vmsplice", "truncate");
    let mut again = ended(
        waited(stock, "fuse", "vmsplice", "truncate"),
        Outcome::Stuck,
        Verdict::Unexpected,
        "it did not return within 30 s of the release",
    );
    again.repetition = 2;
    run(vec![
        waited(stock, "fuse", "dio-read", "truncate"),
        waited(stock, "fuse", "vmsplice", "truncate"),
        again,
        skipped(
            waited(stock, "xfs", "dio-read", "reflink"),
            "the image was made without reflink",
        ),
        named(stock, "munmap-hides-pin::fuse"),
        waited(seed, "fuse", "dio-read", "truncate"),
        ended(
            splice(),
            Outcome::VmDied,
            Verdict::Expected,
            "QEMU got SIGBUS",
        ),
        ended(
            named(seed, "munmap-hides-pin::fuse"),
            Outcome::NotRun,
            Verdict::LabError,
            "the agent did not answer",
        ),
    ])
}

/// Two kernels in turn, twenty times each; the second takes twice as long.
pub fn interleaved() -> Run {
    let mut cells = Vec::new();
    for repetition in 1..=20 {
        for (kernel, slow) in [("build:6.12", 1), ("build:6.12+seed", 2)] {
            let mut cell = waited(kernel, "xfs", "dio-read", "punch");
            cell.repetition = repetition;
            cell.evidence.wake_us = vec![slow * (990 + u64::from(repetition) * 10)];
            cell.evidence.vain_wakeups = Some(slow - 1);
            cells.push(cell);
        }
    }
    run(cells)
}

/// One unexpected cell whose every text is hostile.
pub fn hostile() -> Run {
    let mut cell = waited(HOSTILE, HOSTILE, HOSTILE, HOSTILE);
    cell.release = HOSTILE.into();
    cell.evidence = Evidence {
        steps: vec![HOSTILE.into()],
        stack: Some(HOSTILE.into()),
        where_it_stood: vec![HOSTILE.into()],
        wake_us: vec![0, u64::MAX],
        wake_guest_us: vec![1],
        vain_wakeups: Some(3),
        guest_log: HOSTILE.into(),
        console_tail: HOSTILE.into(),
        new_owner: Some(HOSTILE.into()),
        harm: Some(HOSTILE.into()),
        complaints: vec![HOSTILE.into()],
        overlap: Some(HOSTILE.into()),
    };
    let mut run = run(vec![
        ended(cell, Outcome::Harmed, Verdict::Unexpected, HOSTILE),
        skipped(named(HOSTILE, HOSTILE), HOSTILE),
    ]);
    run.command = vec![HOSTILE.into()];
    run.host.cpu = HOSTILE.into();
    run.lab_version = HOSTILE.into();
    run
}

/// Nothing but skipped cells.
pub fn all_skipped() -> Run {
    let cell = |fs| skipped(waited("debian:6.1", fs, "dio-read", "punch"), "no KVM");
    run(vec![cell("fuse"), cell("xfs")])
}

/// Every removal with every pin on every file system.
pub fn complete(kernels: &[&str]) -> Run {
    let mut cells = Vec::new();
    for kernel in kernels {
        for fs in ["fuse", "ext4", "xfs"] {
            for pin in PINS {
                cells.extend(
                    REMOVALS
                        .iter()
                        .map(|removal| waited(kernel, fs, pin, removal)),
                );
            }
        }
    }
    run(cells)
}
