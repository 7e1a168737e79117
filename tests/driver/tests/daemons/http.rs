// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The part of HTTP that is needed to ask a daemon for its metrics.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use virtiofs_driver::Daemon;

use crate::rig::PATIENCE;

/// The address in the daemon's log.
pub fn address(daemon: &Daemon) -> Result<String> {
    let log = daemon.log();
    let (_, rest) = log.split_once("metrics at http://").context(log.clone())?;
    let (address, _) = rest.split_once('/').context("no path")?;
    Ok(address.to_owned())
}

/// Sends these bytes, and returns all bytes until the daemon closes the connection.
pub fn exchange(address: &str, bytes: &[u8]) -> Result<String> {
    let mut stream = connect(address)?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    // The daemon may close a connection with unread bytes, which is an error here.
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8(answer)?)
}

pub fn connect(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The body of `path`.
pub fn get(address: &str, path: &str) -> Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes())?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").context("no body")?;
    Ok(body.to_owned())
}

/// All samples of one answer, by name and labels.
#[derive(Debug)]
pub struct Samples(BTreeMap<String, f64>);

impl Samples {
    /// Asks until the daemon has taken new samples: it keeps samples for a moment.
    pub fn take(address: &str) -> Result<Self> {
        std::thread::sleep(crate::metrics::FRESH);
        let text = get(address, "/metrics")?;
        ensure!(text.ends_with("# EOF\n"), "{text}");
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').context(line.to_owned())?;
                let name = name.strip_prefix("virtiofs_daxd_").context("no prefix")?;
                Ok((name.to_owned(), value.parse()?))
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// The differences from an earlier answer, except for times. Names are without the prefix.
    pub fn since(&self, before: &Self) -> BTreeMap<&str, f64> {
        self.0
            .iter()
            .filter(|(name, _)| !name.contains("_bucket") && !name.contains("_sum"))
            .map(|(name, now)| (name.as_str(), now - before.0.get(name).unwrap_or(&0.0)))
            .filter(|(_, difference)| *difference != 0.0)
            .collect()
    }

    pub fn of(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}
