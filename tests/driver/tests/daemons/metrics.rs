// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a daemon says of itself (`--metrics`), against what was done with it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use virtiofs_driver::window::{Action, CallKind, Gate, MainLoop, Rules};
use virtiofs_driver::{
    Body, FileOffset, NodeId, Options, Request, Script, WindowOffset, WindowOption, daemon,
};

use crate::http::{Samples, address, connect, exchange, get};
use crate::rig::{PATIENCE, RANGE, Rig, pattern};

/// The daemon looks at most this often; a look after it is a new one.
pub const FRESH: Duration = Duration::from_millis(110);
/// Connections that the daemon takes at a time.
const SEATS: usize = 32;

/// A daemon that serves metrics, and where.
fn rig() -> Result<(Rig, String)> {
    let rules = Rules {
        // So that a test can hold the channel, and go on with the rest.
        main_loop: MainLoop::Separate,
        ..Rules::qemu()
    };
    let options = Options {
        window: WindowOption::Required(rules),
        ..Options::default()
    };
    let rig = Rig::start_with(
        daemon::daxd()?,
        &options,
        &["--tag=share", "--dax-window=64M", "--metrics=127.0.0.1:0"],
    )?;
    let address = address(&rig.daemon)?;
    Ok((rig, address))
}

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
            // That the kernel can view files of this device has been tried before.
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
    // The VMM takes its memory region back after the guest's answer.
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

/// The window as the daemon shows it: where, from where in the file, whether the guest writes there.
fn shown(address: &str) -> Result<Vec<(u64, u64, bool)>> {
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

/// Whatever is mapped, repeated, replaced, refused and removed: what is shown is what the VMM has.
#[test]
fn what_is_shown_is_what_the_vmm_has() -> Result<()> {
    const SPAN: u64 = 8;
    const ROUNDS: u64 = 12;
    const STEPS: u64 = 25;
    let (mut rig, address) = rig()?;
    let window = rig.window()?;
    let files = [rig.file("a", &pattern(100))?.0, rig.file("b", b"")?.0];
    // Numbers that look like chance, and are the same each time.
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
                // An empty range can't be removed, which is shown to be refused elsewhere.
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
                // A repeat leaves the mapping as it is, and can only add that it is written to.
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

/// While the VMM takes its time the window's table is locked. Who looks on neither waits for that,
/// nor sees what is not there yet.
#[test]
fn a_vmm_that_takes_its_time_hides_nothing() -> Result<()> {
    let (mut rig, address) = rig()?;
    let (node, _) = rig.file("file", b"content")?;
    rig.client
        .setup_mapping(node, FileOffset(0), RANGE, WindowOffset(0), true)?;
    let gate = Gate::new();
    rig.vm
        .set_script(Script::once(CallKind::Map, 1, Action::Hold(gate.clone())));
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

#[test]
fn without_the_option_nothing_listens_and_no_thread_is_there() -> Result<()> {
    let rig = Rig::start(&Options::default())?;
    assert!(
        !rig.daemon.log().contains("metrics"),
        "{}",
        rig.daemon.log()
    );
    for process in rig.daemon.processes() {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", process.pid))?;
        for task in tasks.flatten() {
            let name = std::fs::read_to_string(task.path().join("comm"))?;
            assert_ne!(name.trim(), "metrics");
        }
    }
    Ok(())
}

#[test]
fn what_is_no_request_of_this_host_is_refused() -> Result<()> {
    let (_rig, address) = rig()?;
    let host = format!("Host: {address}\r\nConnection: close\r\n\r\n");
    let long = "x".repeat(64 << 10);
    let evil = "Host: evil.example\r\nConnection: close\r\n\r\n";
    for (request, status) in [
        (format!("GET /metrics HTTP/1.1\r\n{host}"), "200"),
        (format!("HEAD /metrics HTTP/1.1\r\n{host}"), "200"),
        (format!("GET /etc/passwd HTTP/1.1\r\n{host}"), "404"),
        (format!("POST /metrics HTTP/1.1\r\n{host}"), "405"),
        (format!("GET /metrics HTTP/1.1\r\n{evil}"), "403"),
        (
            "GET /metrics HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
            "403",
        ),
        (format!("GET /{long} HTTP/1.1\r\n{host}"), "4"),
        (
            format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(1000)),
            "431",
        ),
        ("\u{16}\u{3}\u{1} nonsense\r\n\r\n".to_owned(), "400"),
    ] {
        let answer = exchange(&address, request.as_bytes())?;
        let shown = &request[..request.len().min(60)];
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{shown:?}: {answer}");
    }
    Ok(())
}

/// Clients that send nothing, or half a request, or read no answer, take all seats. The guest is
/// served meanwhile, and other clients are once the slow ones have been sent away.
#[test]
fn clients_that_hold_on_hurt_nobody_for_long() -> Result<()> {
    let (mut rig, address) = rig()?;
    let (node, _) = rig.file("file", b"content")?;
    let mut slow = Vec::new();
    for at in 0..2 * SEATS {
        let mut client = connect(&address)?;
        match at % 3 {
            0 => {}
            1 => client.write_all(b"GET /metrics HTTP/1.1\r\nHost: ")?,
            _ => client.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")?,
        }
        slow.push(client);
    }
    let at = WindowOffset(0);
    rig.client
        .setup_mapping(node, FileOffset(0), RANGE, at, true)?;
    rig.client.remove_mapping(node, &[(at, RANGE)])?;
    let begun = Instant::now();
    assert!(get(&address, "/metrics")?.contains("window_maps_total 1\n"));
    assert!(begun.elapsed() < PATIENCE, "it took {:?}", begun.elapsed());
    // Each of them is sent away in the end.
    for mut client in slow {
        client.set_read_timeout(Some(PATIENCE))?;
        let mut rest = Vec::new();
        let ended = client.read_to_end(&mut rest);
        let timed_out = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "a slow client may stay");
    }
    Ok(())
}
