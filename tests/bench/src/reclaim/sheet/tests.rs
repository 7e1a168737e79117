// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! An invented run is reported in each form.

use dax_measure::{
    Guests, Head, Kernel,
    fixture::{HOSTILE, checked, head},
    stats::Latencies,
};
use guest_agent::workload::Blocked;

use super::*;
use crate::reclaim::{
    model::{SCHEMA, Settings},
    plan::{Extent, Pins, Point, points},
};

/// A side that moves this many MiB a second.
fn series(side: &str, mib: u64) -> Series {
    let mut latencies = Latencies::new();
    latencies.record_many(1_000_000_000 / (16 * mib), 99);
    latencies.record_many(9_000_000, 1);
    let window = |number| side.contains("32M").then_some(number);
    let round = Round {
        bytes: mib << 20,
        accesses: 16 * mib,
        ns: 1_000_000_000,
        daemon_cpu_ns: (side != "tmpfs").then_some(250_000_000),
        qemu_cpu_ns: 900_000_000,
        set_up: window(mib / 2),
        removed: window(mib / 2),
        inline: window(mib / 3),
        worker: window(mib / 6),
        mapped_bytes: window(32 << 20),
        used_bytes: window(30 << 20),
        ..Round::default()
    };
    let series = Series {
        rounds: vec![round; 3],
        ..Series::new(side)
    };
    series.with(&latencies)
}

/// A run of all usual points, in which a window is better for a smaller working set.
fn run() -> ReclaimRun {
    let worker = Blocked {
        comm: HOSTILE.into(),
        stack: vec!["fuse_wait_dax_page".into(), "worker_thread".into()],
    };
    let result = |point: &Point| {
        let mut window = series("daxd-32M", (1600.0 / point.times.max(1.0)) as u64);
        if point.pins == Pins::Most {
            for round in &mut window.rounds {
                (round.stalled, round.blocked) = (true, vec![worker.clone()]);
            }
        }
        let sides = [
            window,
            series("daxd-none", 400),
            series("virtiofsd-auto", 410),
            series("tmpfs", 2000),
        ];
        PointResult::new(point, sides.into())
    };
    let guests = Guests {
        qemu: "11.1".into(),
        accel: "tcg".into(),
        cpus: 2,
        memory_mib: 1024,
        kernels: vec![Kernel {
            spec: "debian:6.12".into(),
            release: HOSTILE.into(),
        }],
    };
    ReclaimRun {
        head: Head {
            guests: Some(guests),
            ..head(SCHEMA)
        },
        settings: Settings {
            rounds: 3,
            seconds: 0.3,
            window: 32 << 20,
        },
        sides: vec![Side {
            name: "daxd-32M".into(),
            about: HOSTILE.into(),
            command: "virtiofs-daxd".into(),
        }],
        points: points(Extent::Usual, 32 << 20).iter().map(result).collect(),
    }
}

#[test]
fn a_run_is_told_in_each_way() {
    let docs = include_str!("../../../docs/results.md");
    let (_, docs) = docs
        .split_once("results.json of `daxlab bench reclaim`")
        .unwrap();
    let [text, document, page] = checked(&run(), docs);
    let (_, point) = text.split_once("read-seq-warm/2x: ").unwrap();
    let row = point.lines().nth(1).unwrap();
    for cell in [
        "daxd-32M",
        "800 MiB/s",
        "1.95 [1.95 1.95]",
        "2.00 [2.00 2.00]",
        "25 %",
        "266",
    ] {
        assert!(row.contains(cell), "{cell}: {row}");
    }
    let (_, stalled) = text.split_once("STANDSTILL in 3 of 3 rounds\n").unwrap();
    assert!(stalled.starts_with("        asleep then: "), "{stalled}");
    for line in [
        "daxd-32M: throughput / virtiofsd-auto ≥ 6: 3.90 [3.90 3.90] missed!",
        "daxd-32M, read warm: as fast as no window up to 4 windows, slower from 8",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    for part in [
        "| load-seq-cold/0.5x | daxd-32M | throughput / virtiofsd-auto ≥ 6 | 3.90 [3.90 3.90] | \
         **missed** | 3.90 [3.90 3.90] |",
        "- daxd-32M, read warm: as fast as no window up to 4 windows, slower from 8\n",
        "load-seq-warm/2x/pins-most, daxd-32M in a standstill\n\n- `",
        "fuse_wait_dax_page < worker_thread`\n",
        "| daxd-32M | 1.56 GiB/s | 1.56 GiB/s | 1.56 GiB/s | 1.04 GiB/s | 800 MiB/s |",
    ] {
        assert!(document.contains(part), "{part}: {document}");
    }
    for part in [
        "read, in sequence, caches warm: bytes a second",
        "load, in sequence, caches cold: ranges reclaimed a second",
        "2x: accesses that took longer than",
        "as fast as no window up to 4 windows",
        "emulated (TCG)",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_run_without_points_is_a_page_too() {
    let mut run = run();
    run.points.clear();
    assert!(run.sheet().page().unwrap().contains("no targets"));
}
