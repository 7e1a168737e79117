// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A run made up for the tests of reports.

use dax_bench::model::Host;
use guest_agent::workload::Blocked;

use crate::model::{
    Distribution, Guests, Kernel, PointResult, Round, Run, SCHEMA, Series, Settings, SideInfo,
};
use crate::plan::{Extent, Pins, points};

/// What a page must not take for markup.
pub const HOSTILE: &str = "<script>&\"'{{ x }}\u{1b}";

/// A side that moves so many MiB a second.
fn series(side: &str, mib: u64) -> Series {
    let mut latencies = Distribution::default();
    latencies.add(&[(1_000_000_000 / (16 * mib), 99), (9_000_000, 1)]);
    let round = Round {
        bytes: mib << 20,
        accesses: 16 * mib,
        ns: 1_000_000_000,
        daemon_cpu_ns: (side != "tmpfs").then_some(250_000_000),
        qemu_cpu_ns: 900_000_000,
        set_up: side.contains("32M").then_some(mib / 2),
        removed: side.contains("32M").then_some(mib / 2),
        inline: side.contains("32M").then_some(mib / 3),
        worker: side.contains("32M").then_some(mib / 6),
        mapped_bytes: side.contains("32M").then_some(32 << 20),
        used_bytes: side.contains("32M").then_some(30 << 20),
        ..Round::default()
    };
    let series = Series {
        rounds: vec![round; 3],
        ..Series::new(side)
    };
    series.with(&latencies)
}

/// A run of all usual points, in which a window is the better the smaller the working set is.
pub fn run() -> Run {
    let worker = Blocked {
        comm: HOSTILE.into(),
        stack: vec!["fuse_wait_dax_page".into(), "worker_thread".into()],
    };
    let result = |point: &crate::plan::Point| {
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
    Run {
        schema: SCHEMA,
        lab_version: "0.1.0".into(),
        started: "2026-01-01T00:00:00Z".into(),
        took_s: 100,
        command: vec!["daxlab".into(), HOSTILE.into()],
        host: Host {
            cores: 2,
            load: 1.5,
            ..Host::here("tmpfs".into())
        },
        guests: Guests {
            qemu: "11.1".into(),
            accel: "tcg".into(),
            cpus: 2,
            memory_mib: 1024,
            kernels: vec![Kernel {
                spec: "debian:6.12".into(),
                release: HOSTILE.into(),
            }],
        },
        settings: Settings {
            rounds: 3,
            seconds: 0.3,
            window: 32 << 20,
        },
        sides: vec![SideInfo {
            name: "daxd-32M".into(),
            about: HOSTILE.into(),
            command: "virtiofs-daxd".into(),
        }],
        points: points(Extent::Usual, 32 << 20).iter().map(result).collect(),
    }
}
