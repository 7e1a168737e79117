// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Measures all points once and briefly, on the daemon that was built with this test. The results'
//! speed is not checked.

use std::time::Duration;

use anyhow::Result;
use dax_bench::{
    Plan, io, map,
    model::{Point, Side, Suite},
    samples::Length,
    system::{Affinity, Program},
    window,
};
use virtiofs_driver::{Waiting, daemon};

type Measure = fn(&Plan<'_>, &mut Vec<Side>) -> Result<Vec<Point>>;

/// The results of a suite on our daemon, with one queue and with two.
fn points(measure: Measure, wants: &dyn Fn(Suite, &str) -> bool) -> (Vec<Point>, Vec<Side>) {
    let program = daemon::daxd().expect("the daemon is built: cargo build -p virtiofs-daxd");
    let program = Program::at(&program, "daxd").expect("a daemon");
    let place = std::env::temp_dir();
    let plan = Plan {
        daemon: &program,
        peer: None,
        queues: &[1, 2],
        poll: Some(50),
        length: Length::new(2, Duration::from_millis(5)),
        quick: true,
        place: &place,
        waiting: Waiting::Interrupt,
        affinity: Affinity::Auto,
        wants,
        goes_on: &|| true,
        progress: &|_| {},
    };
    let mut sides = Vec::new();
    let points = measure(&plan, &mut sides).expect("all can be measured");
    (points, sides)
}

#[test]
fn requests() {
    let (points, sides) = points(io::measure, &|_, _| true);
    // At depth 1 in both placements, and at depth 32.
    assert_eq!(points.len(), 3 * io::Work::ALL.len());
    assert_eq!(sides.len(), 3, "one queue, two, and one that is watched");
    for point in &points {
        let moves = ["read-", "write-", "readdirplus"];
        let moves = moves.iter().any(|name| point.name.starts_with(name));
        for series in &point.series {
            let what = format!("{} {}", point.name, series.side);
            assert_eq!(series.rounds.len(), 2, "{what}");
            for round in &series.rounds {
                assert!(round.operations > 0, "{what}");
                // A short turn of the mixed work may move no bytes.
                let mixed = point.name.starts_with("mixed");
                assert!(
                    mixed || (round.bytes > 0) == moves,
                    "{what}: {} bytes",
                    round.bytes
                );
            }
        }
    }
    // A single short turn may end before the daemon gets a processor, but not all of them.
    let cpu = |side: &Side| {
        let series = points.iter().filter_map(|point| point.side(&side.name));
        let rounds = series.flat_map(|series| &series.rounds);
        rounds.filter_map(|round| round.daemon_cpu_ns).sum::<u64>()
    };
    assert!(sides.iter().all(|side| cpu(side) > 0));
}

#[test]
fn mappings() {
    // Each VMM once, and one of them with both kinds of files.
    let left_out = ["small-plain", "large-series", "small-bare"];
    let (points, sides) = points(map::measure, &|_, name| {
        !left_out.iter().any(|part| name.contains(part))
    });
    assert_eq!(points.len(), 20);
    assert_eq!(
        sides.len(),
        4,
        "three numbers of live mappings and the limit"
    );
    for point in &points {
        let limit = point.side("limit").expect("it is always there");
        for series in &point.series {
            assert!(series.median_ns > 0);
            // No side is faster than its physical limit. The margin is wide, for a busy machine.
            assert!(2 * series.median_ns > limit.median_ns, "{}", point.name);
        }
    }
}

#[test]
fn bytes_through_the_window() {
    let (points, sides) = points(window::measure, &|_, _| true);
    let names: Vec<_> = points.iter().map(|point| point.name.as_str()).collect();
    assert_eq!(names, ["first-touch", "warm"]);
    assert_eq!(sides.len(), 3, "window, READ and memcpy");
    for series in points.iter().flat_map(|point| &point.series) {
        let daemon = series.rounds.iter().map(|round| round.daemon_cpu_ns);
        assert!(
            daemon
                .clone()
                .all(|cpu| cpu.is_some() == (series.side != "memcpy"))
        );
        assert!(series.rounds.iter().all(|round| round.bytes > 0));
    }
}

#[test]
fn what_is_not_wanted_is_not_measured() {
    let (none, sides) = points(io::measure, &|_, _| false);
    assert!(none.is_empty() && sides.is_empty());
    let (one, _) = points(io::measure, &|_, name| name == "getattr/1");
    assert_eq!(one.len(), 1);
}
