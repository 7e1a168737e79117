// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The clients of the metrics, and their requests.

use std::io::{Read, Write};
use std::time::Instant;

use anyhow::Result;
use virtiofs_driver::{FileOffset, Options, WindowOffset};

use super::rig;
use crate::http::{connect, exchange, get};
use crate::rig::{PATIENCE, RANGE, Rig};

/// The connections that the daemon accepts at a time.
const SEATS: usize = 32;

#[test]
fn without_the_option_nothing_listens_and_no_thread_is_there() -> Result<()> {
    let rig = Rig::start(&Options::default())?;
    assert!(
        !rig.daemon.log().contains("metrics at "),
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
/// served meanwhile. Other clients are served after the daemon has disconnected the slow ones.
#[test]
fn clients_that_hold_on_block_others_for_seconds_only() -> Result<()> {
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
    // The daemon disconnects each of them in the end.
    for mut client in slow {
        client.set_read_timeout(Some(PATIENCE))?;
        let mut rest = Vec::new();
        let ended = client.read_to_end(&mut rest);
        let timed_out = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!timed_out, "a slow client may stay");
    }
    Ok(())
}
