// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A run made up for the tests of reports.

use std::time::Duration;

use crate::{
    model::{Bound, Fact, Host, Measure, Point, Round, Run, SCHEMA, Series, Settings, Side, Suite},
    stats::Latencies,
};

/// What a page must not take for markup.
pub const HOSTILE: &str = "<script>&\"'{{ x }}\u{1b}";

/// A side whose requests take so many µs, half of them the daemon's.
pub fn series(side: &str, us: u64) -> Series {
    let mut latencies = Latencies::new();
    for _ in 0..1000 {
        latencies.record(Duration::from_micros(us));
    }
    let round = Round {
        daemon_cpu_ns: Some(us * 500 * 1000),
        driver_cpu_ns: us * 250 * 1000,
        ..Round::new(&latencies, 4096, Duration::from_micros(us * 1000))
    };
    Series::new(side, vec![round; 3], &latencies)
}

/// A run with a point of each suite.
pub fn run() -> Run {
    let sides = vec![
        series("daxd", 20),
        series("daxd-2q", 15),
        series("virtiofsd", 40),
    ];
    let mut io = Point::new(Suite::Io, "getattr/1", HOSTILE, "virtiofsd", sides);
    io.aim(Measure::Rate, "daxd", "virtiofsd", Bound::AtLeast(1.3));
    io.aim(Measure::DaemonCpu, "daxd", "virtiofsd", Bound::AtMost(0.4));
    let mut window = series("window", 5);
    window.facts.push(Fact {
        name: "memory".into(),
        value: 7.5,
        unit: "KiB a mapping".into(),
    });
    let alone = Point::new(Suite::Window, "warm", "", "memcpy", vec![window]);
    Run {
        schema: SCHEMA,
        lab_version: "0.1.0".into(),
        started: "2026-01-01T00:00:00Z".into(),
        command: vec!["daxlab".into(), HOSTILE.into()],
        host: Host {
            cores: 2,
            ..Host::here("tmpfs".into())
        },
        settings: Settings {
            rounds: 3,
            seconds: 0.3,
            lead_in: 0.05,
        },
        sides: vec![Side {
            name: "daxd".into(),
            about: HOSTILE.into(),
            command: vec!["virtiofs-daxd".into()],
        }],
        points: vec![io, alone],
    }
}
