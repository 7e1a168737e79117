// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is shown, against what there is and what the manual says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use super::text;
use crate::metrics::snapshot::Snapshot;
use crate::metrics::{
    Cell, Metrics, Names, Observer, Refusal, SnapshotSource, Trait, WindowSnapshot,
};
use crate::node::NodeId;

/// A window that is not there to be looked at.
struct Looked;

impl SnapshotSource for Looked {
    fn window(&self) -> Option<WindowSnapshot> {
        Some(WindowSnapshot {
            size: 16 << 20,
            stats: shared_window::WindowStats::default(),
            kept_views: 3,
            regions: 4,
            region_limit: Some(500),
        })
    }

    fn mappings(&self) -> Vec<shared_window::Mapping> {
        Vec::new()
    }

    fn keeps_view(&self, _node: NodeId) -> bool {
        true
    }

    fn file_size(&self, _node: NodeId) -> Option<u64> {
        None
    }
}

fn shown() -> String {
    let links = std::fs::File::open("/proc/self/fd").unwrap();
    let observer = Arc::new(Observer::new(Names::new(links)));
    let metrics = Metrics::observed(2, Some(Arc::clone(&observer)));
    metrics.requests[1].add(7);
    metrics.bad_heads.count();
    metrics.refusals.of(Refusal::RegionBudget).add(2);
    metrics.vmm.set(Trait::NeedsViews, Some(true));
    metrics.vmm.set(Trait::UsesRegions, Some(false));
    let mut observed = observer.read(&[]);
    observed.started = UNIX_EPOCH + Duration::from_millis(1500);
    observed.errors = vec![(libc::ENOENT, 5), (134, 1)];
    let distribution = &mut observed.latencies[0].1;
    distribution.buckets[1] = 2;
    distribution.buckets[22] = 1;
    distribution.sum = Duration::from_millis(12_500);
    observed.cells = vec![Cell {
        at: shared_window::WindowOffset(0),
        len: shared_window::LINUX_RANGE,
        state: crate::metrics::CellState::Live,
        node: NodeId(2),
        file: shared_window::FileId {
            device: 1,
            inode: 2,
        },
        name: None,
        from: shared_window::FileOffset(0),
        writable: false,
        since: Instant::now(),
    }];
    text(Arc::new(Snapshot::take(&metrics, observed, &Looked))).unwrap()
}

#[test]
fn numbers_stand_where_they_belong() {
    let text = shown();
    for line in [
        "# TYPE virtiofs_daxd_requests counter",
        "# UNIT virtiofs_daxd_start_time_seconds seconds",
        "virtiofs_daxd_start_time_seconds 1.5",
        "virtiofs_daxd_requests_total{queue=\"0\"} 0",
        "virtiofs_daxd_requests_total{queue=\"1\"} 7",
        "virtiofs_daxd_bad_heads_total 1",
        "virtiofs_daxd_errors_total{errno=\"ENOENT\"} 5",
        "virtiofs_daxd_errors_total{errno=\"unknown\"} 1",
        "virtiofs_daxd_setupmapping_refused_total{reason=\"region_budget\"} 2",
        "virtiofs_daxd_request_duration_seconds_sum{class=\"read\"} 12.5",
        "virtiofs_daxd_request_duration_seconds_count{class=\"read\"} 3",
        "virtiofs_daxd_request_duration_seconds_bucket{le=\"0.000001\",class=\"read\"} 0",
        "virtiofs_daxd_request_duration_seconds_bucket{le=\"0.0000025\",class=\"read\"} 2",
        "virtiofs_daxd_request_duration_seconds_bucket{le=\"10.0\",class=\"read\"} 2",
        "virtiofs_daxd_request_duration_seconds_bucket{le=\"+Inf\",class=\"read\"} 3",
        "virtiofs_daxd_vmm_behaviour{trait=\"needs_views\"} 1",
        "virtiofs_daxd_vmm_behaviour{trait=\"uses_regions\"} 0",
        "virtiofs_daxd_window_occupied_bytes 2097152",
        "virtiofs_daxd_window_used_bytes 0",
        "virtiofs_daxd_window_views 3",
        "virtiofs_daxd_region_budget_in_use 4",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
    }
    assert!(!text.contains("answers_after_effect"), "it is not known");
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn the_manual_lists_what_is_shown_and_how() {
    let manual = include_str!("../../../docs/metrics.md");
    let listed: BTreeSet<_> = manual
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.strip_prefix("| `")?.split_once("` | ")?;
            let kind = match rest.chars().next()? {
                'c' => "counter",
                'g' => "gauge",
                'h' => "histogram",
                _ => "info",
            };
            let name = name.trim_end_matches("_total").trim_end_matches("_info");
            Some(format!("{name} {kind}"))
        })
        .collect();
    let text = shown();
    let types = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE virtiofs_daxd_"));
    let shown: BTreeSet<_> = types.map(str::to_owned).collect();
    assert_eq!(shown, listed);
    let helped = text
        .lines()
        .filter(|line| line.starts_with("# HELP "))
        .count();
    assert_eq!(helped, shown.len());
}
