// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! An invented run is reported in each form.

use std::time::Duration;

use dax_measure::{
    Bound,
    fixture::{HOSTILE, checked, head},
    stats::Latencies,
};

use super::*;
use crate::model::{Fact, SCHEMA, Settings, Side};

/// A side whose requests take this many µs, half of them in the daemon.
fn series(side: &str, us: u64) -> Series {
    let mut latencies = Latencies::new();
    latencies.record_many(us * 1000, 1000);
    let round = Round {
        daemon_cpu_ns: Some(us * 500 * 1000),
        driver_cpu_ns: us * 250 * 1000,
        ..Round::new(&latencies, 4096, Duration::from_micros(us * 1000))
    };
    Series::new(side, vec![round; 3], &latencies)
}

fn run() -> Run {
    let sides = [("daxd", 20), ("daxd-2q", 15), ("virtiofsd", 40)];
    let sides = sides.map(|(side, us)| series(side, us)).into();
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
        head: head(SCHEMA),
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

#[test]
fn a_run_is_told_in_each_way() {
    let docs = include_str!("../../docs/results.md");
    let (docs, _) = docs
        .split_once("results.json of `daxlab bench reclaim`")
        .unwrap();
    let [text, document, page] = checked(&run(), docs);
    let row = text.lines().find(|line| line.starts_with("  daxd "));
    let cells: Vec<&str> = row.unwrap().split("  ").map(str::trim).collect();
    for cell in [
        "50.0k",
        "20.0 us",
        "10.0 us",
        "5.00 us",
        "2.00 [2.00 2.00]",
        "0.50 [0.50 0.50]",
    ] {
        assert!(cells.contains(&cell), "{cell}: {text}");
    }
    for row in [
        "\n    daxd: rate / virtiofsd ≥ 1.3: 2.00 [2.00 2.00] met\n",
        "\n    daxd: daemon CPU / virtiofsd ≤ 0.4: 0.50 [0.50 0.50] missed!\n",
        "2 cores leave",
    ] {
        assert!(text.contains(row), "{row}: {text}");
    }
    assert!(
        text.ends_with("\ntargets: 1 met, 0 unsure, 1 missed\n"),
        "{text}"
    );
    for row in [
        "| getattr/1 | 50.0k / 25.0k | 2.00 [2.00 2.00] |",
        "| met, **missed** |",
        "| warm | window |",
    ] {
        assert!(document.contains(row), "{row}: {document}");
    }
    for part in [
        "2.00 [2.00 2.00] × virtiofsd",
        "memory 7.50 KiB a mapping",
        "Latencies of io",
        "daemon CPU of io against the reference",
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

#[test]
fn a_run_of_an_earlier_version_is_read() {
    let mut value = serde_json::to_value(run()).unwrap();
    value.as_object_mut().unwrap().remove("took_s");
    let read: Run = serde_json::from_value(value).unwrap();
    assert_eq!(read.head.took_s, None);
    assert_eq!(read.points, run().points);
}
