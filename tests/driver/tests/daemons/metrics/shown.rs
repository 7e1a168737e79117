// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's picture of the window, compared with the VMM's table.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use virtiofs_driver::window::{Action, CallKind, Gate};
use virtiofs_driver::{Body, FileOffset, Request, Script, WindowOffset};

use super::{FRESH, rig};
use crate::http::{Samples, get};
use crate::rig::{PATIENCE, RANGE, pattern};

/// The window in the daemon's answer: window offset, file offset, and whether the guest writes
/// there.
fn shown(address: &str) -> Result<Vec<(u64, u64, bool)>> {
    // The daemon keeps its samples for this long, and nothing announces new ones.
    std::thread::sleep(FRESH);
    let json: Value = serde_json::from_str(&get(address, "/window.json")?)?;
    let ranges = json["window"]["ranges"].as_array().context("no ranges")?;
    ranges
        .iter()
        .map(|range| {
            ensure!(range["len"] == RANGE && range["state"] == "live", "{range}");
            let number = |name: &str| range[name].as_u64().context("no number");
            let writable = range["writable"].as_bool().context("not said")?;
            Ok((number("at")?, number("from")?, writable))
        })
        .collect()
}

/// Maps, repeats, replaces, refusals and removals: the daemon always shows the VMM's mappings.
#[test]
fn what_is_shown_is_what_the_vmm_has() -> Result<()> {
    const SPAN: u64 = 8;
    const ROUNDS: u64 = 12;
    const STEPS: u64 = 25;
    let (mut rig, address) = rig()?;
    let window = rig.window()?;
    let files = [rig.file("a", &pattern(100))?.0, rig.file("b", b"")?.0];
    // Pseudo-random numbers that are the same in each run.
    let mut state = 1_u64;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let mut writable = [false; SPAN as usize];
    for round in 0..ROUNDS {
        for _ in 0..STEPS {
            let (place, node) = (draw(SPAN), files[draw(2) as usize]);
            let at = WindowOffset(place * RANGE);
            if draw(3) == 0 {
                // A removal of an empty range fails, which another test checks.
                let _ = rig.client.remove_mapping(node, &[(at, RANGE)]);
                continue;
            }
            let (from, writes) = (FileOffset(draw(2) * RANGE), draw(2) == 0);
            let off = if draw(9) == 0 { RANGE / 2 } else { 0 };
            let at = WindowOffset(at.0 + off);
            let maps = window.stats().maps;
            if rig
                .client
                .setup_mapping(node, from, RANGE, at, writes)
                .is_ok()
                && off == 0
            {
                // A repeated map leaves the mapping as it is, and can only make it writable.
                let repeated = window.stats().maps == maps;
                writable[place as usize] = writes || repeated && writable[place as usize];
            }
        }
        ensure!(window.wait_until_settled(PATIENCE), "no effect");
        let has: Vec<_> = window
            .mappings()
            .iter()
            .map(|one| (one.at.0, one.from.0))
            .collect();
        let shown = shown(&address)?;
        let places: Vec<_> = shown.iter().map(|(at, from, _)| (*at, *from)).collect();
        assert_eq!(places, has, "round {round}");
        for (at, _, written) in shown.iter().filter(|(at, _, _)| at % RANGE == 0) {
            assert_eq!(
                *written,
                writable[(at / RANGE) as usize],
                "round {round}: {at:#x}"
            );
        }
    }
    Ok(())
}

/// While the VMM is slow, the window's table is locked. A client of the metrics does not wait for
/// the lock, and does not see a mapping that is not in effect yet.
#[test]
fn a_vmm_that_takes_its_time_hides_nothing() -> Result<()> {
    let (mut rig, address) = rig()?;
    let (node, _) = rig.file("file", b"content")?;
    rig.client
        .setup_mapping(node, FileOffset(0), RANGE, WindowOffset(0), true)?;
    let gate = Gate::new();
    rig.vm
        .set_script(Script::once(CallKind::Map, 0, Action::Hold(gate.clone())));
    let body = Body::setup_mapping(FileOffset(RANGE), RANGE, WindowOffset(RANGE), true);
    rig.client.pipeline().submit(&Request::new(node, body))?;
    rig.client.pipeline().kick()?;
    assert!(
        gate.wait_until_reached(PATIENCE),
        "no SHMEM_MAP within {PATIENCE:?}"
    );
    assert_eq!(shown(&address)?, [(0, 0, true)]);
    let held = Samples::take(&address)?;
    assert_eq!(
        held.of("vmm_call_duration_seconds_count{call=\"map\"}"),
        Some(1.0)
    );
    gate.open();
    rig.client.pipeline().complete()?.result?;
    assert_eq!(shown(&address)?.len(), 2);
    Ok(())
}
