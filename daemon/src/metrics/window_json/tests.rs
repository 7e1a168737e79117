// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The JSON, and the example of the manual.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::{Value, json};
use shared_window::{FileId, FileOffset, WindowOffset, WindowStats};

use super::{RANGE, text};
use crate::metrics::counters::{LOST_PAGES, LOST_STORES};
use crate::metrics::snapshot::{Snapshot, Window};
use crate::metrics::{Cell, CellState, Observed, WindowSnapshot};
use crate::node::NodeId;

fn cell(node: u64, at: u64, now: Instant) -> Cell {
    Cell {
        at: WindowOffset(at * RANGE),
        len: RANGE,
        state: CellState::Live,
        node: NodeId(node),
        file: FileId {
            device: 64768,
            // More than a number of JavaScript can hold.
            inode: (1 << 60) + node,
        },
        name: (node == 7).then(|| Arc::from("/a \"<b>\" \u{7f}")),
        from: FileOffset(RANGE),
        writable: node == 7,
        since: now - Duration::from_millis(1500),
    }
}

fn snapshot(window: bool) -> Snapshot {
    let now = Instant::now();
    let cells = vec![cell(9, 0, now), cell(7, 3, now), cell(9, 4, now)];
    let window = window.then(|| Window {
        look: WindowSnapshot {
            size: 16 << 20,
            stats: WindowStats::default(),
            kept_views: 2,
            regions: 4,
            region_limit: Some(500),
        },
        sizes: BTreeMap::from([(NodeId(7), Some(RANGE + 5)), (NodeId(9), None)]),
        views: 2,
    });
    Snapshot {
        taken: now,
        queues: vec![1, 7],
        poll_times: vec![[None; 2], [Some(Duration::from_micros(9)), None]],
        events: vec![
            ("panics", "Of the server", 9),
            (LOST_PAGES, "Gone", 5),
            (LOST_STORES, "Stored to", 4),
        ],
        refusals: vec![("bounds", 2), ("vmm", 1)],
        observed: Observed {
            started: UNIX_EPOCH + Duration::from_millis(2500),
            running: Duration::from_millis(61_000),
            operations: vec![],
            errors: vec![(2, 3), (5, 1)],
            latencies: vec![],
            calls: vec![],
            read_bytes: 11,
            written_bytes: 12,
            cells,
        },
        window,
        vmm: [Some(true), None, Some(false), None],
    }
}

fn shown(window: bool) -> Value {
    serde_json::from_str(&text(&snapshot(window)).unwrap()).unwrap()
}

#[test]
fn a_range_names_its_file() {
    let shown = shown(true);
    assert_eq!(shown["started"], json!(2.5));
    assert_eq!(shown["now_ms"], json!(61_000));
    assert_eq!(shown["totals"]["requests"], json!(8));
    assert_eq!(shown["totals"]["errors"], json!(4));
    assert_eq!(shown["totals"]["refused"], json!(3));
    assert_eq!(shown["totals"]["lost_pages"], json!(5));
    assert_eq!(shown["totals"]["lost_stores"], json!(4));
    let window = &shown["window"];
    assert_eq!(window["occupied"], json!(3 * RANGE));
    assert_eq!(
        window["used"],
        json!(5),
        "what of the file lies behind its offset"
    );
    assert_eq!(
        window["vmm"],
        json!({"needs_views": true, "enforces_read_only": null, "uses_regions": false,
               "answers_after_effect": null})
    );
    let files = json!([
        {"node": 7, "device": "64768", "inode": "1152921504606846983",
         "path": "/a \"<b>\" \u{7f}", "size": RANGE + 5},
        {"node": 9, "device": "64768", "inode": "1152921504606846985", "path": null, "size": null},
    ]);
    assert_eq!(window["files"], files);
    let nodes: Vec<_> = (0..3)
        .map(|at| &window["files"][window["ranges"][at]["file"].as_u64().unwrap() as usize]["node"])
        .collect();
    assert_eq!(nodes, [&json!(9), &json!(7), &json!(9)]);
    assert_eq!(
        window["ranges"][1],
        json!({"at": 3 * RANGE, "len": RANGE, "file": 0, "from": RANGE, "age_ms": 1500,
               "writable": true, "state": "live"})
    );
}

#[test]
fn without_a_window_there_is_none() {
    assert_eq!(shown(false)["window"], Value::Null);
}

/// Everywhere the same fields, in the manual's example and here.
#[test]
fn the_manual_s_example_has_this_shape() {
    fn fields(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, inner)| {
                found.push(format!("{path}.{name}"));
                fields(inner, &format!("{path}.{name}"), found);
            }),
            Value::Array(all) => {
                if let Some(first) = all.first() {
                    fields(first, path, found);
                }
            }
            _ => {}
        }
    }
    let manual = include_str!("../../../docs/metrics.md");
    let (_, rest) = manual.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let (mut listed, mut shown) = (vec![], vec![]);
    fields(&serde_json::from_str(example).unwrap(), "", &mut listed);
    let mut snapshot = snapshot(true);
    let times = crate::metrics::Distribution {
        buckets: [0; 23],
        sum: Duration::ZERO,
    };
    snapshot.observed.latencies = vec![(crate::metrics::Class::Read, times)];
    fields(
        &serde_json::from_str(&text(&snapshot).unwrap()).unwrap(),
        "",
        &mut shown,
    );
    listed.sort();
    shown.sort();
    assert_eq!(shown, listed);
}
