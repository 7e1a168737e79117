// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Counters, checked after single operations.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use virtiofs_driver::{FileOffset, NodeId, WindowOffset};

use super::rig;
use crate::http::Samples;
use crate::rig::{PATIENCE, RANGE, pattern};

fn differences(expected: &[(&'static str, f64)]) -> BTreeMap<&'static str, f64> {
    expected.iter().copied().collect()
}

#[test]
fn mappings_are_counted_one_by_one() -> Result<()> {
    let (mut rig, address) = rig()?;
    let (node, _) = rig.file("file", &pattern(3 << 20))?;
    let before = Samples::take(&address)?;
    assert_eq!(before.of("window_size_bytes"), Some(f64::from(64 << 20)));
    let mut map = |from, at, writable| {
        let (from, at) = (FileOffset(from), WindowOffset(at));
        rig.client.setup_mapping(node, from, RANGE, at, writable)
    };
    map(0, 0, false)?;
    map(RANGE, RANGE, true)?;
    map(0, 0, false)?; // a repeat
    map(0, 0, true)?; // an upgrade
    map(0, RANGE / 2, true).unwrap_err(); // an overlap
    map(1, 4 * RANGE, true).unwrap_err(); // no multiple of a page
    map(0, 64 << 20, true).unwrap_err(); // outside the window
    let mapped = Samples::take(&address)?;
    assert_eq!(
        mapped.since(&before),
        differences(&[
            ("requests_total{queue=\"1\"}", 7.0),
            ("operations_total{operation=\"setupmapping\"}", 7.0),
            (
                "request_duration_seconds_count{class=\"setupmapping\"}",
                7.0
            ),
            ("errors_total{errno=\"EBUSY\"}", 1.0),
            ("errors_total{errno=\"EINVAL\"}", 2.0),
            ("setupmapping_ok_total", 4.0),
            ("setupmapping_refused_total{reason=\"overlap\"}", 1.0),
            ("setupmapping_refused_total{reason=\"bounds\"}", 2.0),
            ("files_opened_total", 1.0),
            ("vmm_call_duration_seconds_count{call=\"map\"}", 2.0),
            ("window_maps_total", 2.0),
            ("window_repeats_total", 2.0),
            ("window_upgrades_total", 1.0),
            // The daemon has tested before whether the kernel can make views on this device.
            ("window_views_opened_total", 1.0),
            ("window_ranges_live", 2.0),
            ("window_files", 1.0),
            ("window_views", 1.0),
            ("window_occupied_bytes", 2.0 * RANGE as f64),
            ("window_used_bytes", f64::from(3 << 20)),
            ("region_budget_in_use", 2.0),
        ])
    );
    rig.client
        .remove_mapping(node, &[(WindowOffset(0), RANGE)])?;
    // The VMM removes its memory region after the guest has its answer.
    ensure!(rig.window()?.wait_until_settled(PATIENCE), "no effect");
    let removed = Samples::take(&address)?;
    assert_eq!(
        removed.since(&mapped),
        differences(&[
            ("requests_total{queue=\"1\"}", 1.0),
            ("operations_total{operation=\"removemapping\"}", 1.0),
            (
                "request_duration_seconds_count{class=\"removemapping\"}",
                1.0
            ),
            ("removemapping_total", 1.0),
            ("vmm_call_duration_seconds_count{call=\"unmap\"}", 1.0),
            ("window_unmaps_total", 1.0),
            ("window_ranges_live", -1.0),
            ("window_occupied_bytes", -(RANGE as f64)),
            ("window_used_bytes", -(RANGE as f64)),
            ("region_budget_in_use", -1.0),
        ])
    );
    rig.client
        .setup_mapping(node, FileOffset(0), RANGE, WindowOffset(RANGE), true)?;
    let replaced = Samples::take(&address)?
        .since(&removed)
        .remove("window_replaced_total");
    assert_eq!(replaced, Some(1.0));
    rig.client.destroy()?;
    let cleared = Samples::take(&address)?;
    assert_eq!(cleared.of("window_occupied_bytes"), Some(0.0));
    assert_eq!(cleared.of("window_views"), Some(0.0));
    assert_eq!(
        cleared.of("window_clears_total"),
        Some(2.0),
        "INIT and DESTROY"
    );
    Ok(())
}

#[test]
fn requests_errors_and_bytes_are_counted_one_by_one() -> Result<()> {
    let (mut rig, address) = rig()?;
    let (node, handle) = rig.file("file", &pattern(10_000))?;
    let before = Samples::take(&address)?;
    rig.client.read_vec(node, handle, FileOffset(0), 100)?;
    rig.client.read_vec(node, handle, FileOffset(9_990), 100)?;
    rig.client
        .write_slice(node, handle, FileOffset(0), b"seven b")?;
    rig.client.lookup(NodeId::ROOT, "nothing").unwrap_err();
    rig.client.getattr(node, None)?;
    let after = Samples::take(&address)?;
    assert_eq!(
        after.since(&before),
        differences(&[
            ("requests_total{queue=\"1\"}", 5.0),
            ("operations_total{operation=\"read\"}", 2.0),
            ("operations_total{operation=\"write\"}", 1.0),
            ("operations_total{operation=\"lookup\"}", 1.0),
            ("operations_total{operation=\"getattr\"}", 1.0),
            ("request_duration_seconds_count{class=\"read\"}", 2.0),
            ("request_duration_seconds_count{class=\"write\"}", 1.0),
            ("request_duration_seconds_count{class=\"lookup\"}", 2.0),
            ("errors_total{errno=\"ENOENT\"}", 1.0),
            ("read_bytes_total", 110.0),
            ("written_bytes_total", 7.0),
        ])
    );
    for sum in ["read", "write", "lookup"] {
        let name = format!("request_duration_seconds_sum{{class=\"{sum}\"}}");
        let took = after.of(&name).unwrap() - before.of(&name).unwrap_or(0.0);
        assert!(
            took > 0.0 && took < PATIENCE.as_secs_f64(),
            "{name}: {took}"
        );
    }
    Ok(())
}
