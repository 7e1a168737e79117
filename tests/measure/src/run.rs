// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The head of every benchmark's results.json.

#![expect(
    missing_docs,
    reason = "the benchmarks' docs/results.md describes each field"
)]

use std::{
    fs,
    path::Path,
    thread,
    time::{Instant, SystemTime},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// The properties of a run that are known before the measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    pub schema: u32,
    pub lab_version: String,
    pub started: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_s: Option<u64>,
    pub command: Vec<String>,
    pub host: Host,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guests: Option<Guests>,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    pub cpu: String,
    pub cores: u32,
    pub kernel: String,
    pub memory_mib: u64,
    pub load: f64,
    pub share_fs: String,
}

/// The settings that all guests have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guests {
    pub qemu: String,
    pub accel: String,
    pub cpus: u16,
    pub memory_mib: u64,
    pub kernels: Vec<Kernel>,
}

/// A kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kernel {
    pub spec: String,
    pub release: String,
}

/// A system under test in one configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side<C = String> {
    pub name: String,
    pub about: String,
    pub command: C,
}

impl Head {
    /// The head of a run that begins now, with files in this folder.
    pub fn begin(schema: u32, files: &Path) -> Self {
        Self {
            schema,
            lab_version: env!("CARGO_PKG_VERSION").to_owned(),
            started: utc(SystemTime::now()),
            took_s: None,
            command: std::env::args().collect(),
            host: Host::here(file_system(files)),
            guests: None,
        }
    }

    /// Records the guests, and the end of the run.
    pub fn end(&mut self, began: Instant, guests: Guests) {
        self.took_s = Some(began.elapsed().as_secs());
        self.guests = Some(guests);
    }

    /// Name and text of the lines that a report shows.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let host = &self.host;
        let took = self.took_s.map_or_else(String::new, |s| format!(", {s} s"));
        let mut lines = vec![
            ("started", format!("{}{took}", self.started)),
            (
                "host",
                format!(
                    "{} CPUs ({}), {} GiB, Linux {}, load {} at the beginning; files on {}",
                    host.cores,
                    host.cpu,
                    host.memory_mib.div_ceil(1024),
                    host.kernel,
                    host.load,
                    host.share_fs,
                ),
            ),
        ];
        lines.extend(self.guests.as_ref().map(|guests| {
            let kernels = guests.kernels.iter();
            let named = kernels.map(|one| format!("{} ({})", one.spec, one.release));
            // Each kernel is listed once for each QEMU.
            let mut named: Vec<String> = named.collect();
            named.dedup();
            let text = format!(
                "QEMU {} with {}, {} CPUs, {} MiB, {}",
                guests.qemu,
                guests.accel,
                guests.cpus,
                guests.memory_mib,
                named.join(", "),
            );
            ("guests", text)
        }));
        lines
    }
}

impl Host {
    /// This machine.
    pub fn here(share_fs: String) -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        let load = read("/proc/loadavg");
        let load = load.split(' ').next().and_then(|text| text.parse().ok());
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".into()),
            cores: thread::available_parallelism().map_or(1, |count| count.get() as u32),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: kib.unwrap_or(0) / 1024,
            load: load.unwrap_or(0.0),
            share_fs,
        }
    }
}

/// A time in UTC, in whole seconds, in the format of RFC 3339.
pub fn utc(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The type of a folder's file system, from the mount table.
fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let of_line = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let place = fields.next()?.to_owned();
        folder
            .starts_with(&place)
            .then_some((place, fields.next()?.to_owned()))
    };
    // The longest mount point is the nearest one. Of several mounts at one place the last is on
    // top.
    let found = mounts
        .lines()
        .filter_map(of_line)
        .max_by_key(|(place, _)| place.len());
    found.map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_nearest_mount_counts() {
        assert_eq!(file_system(Path::new("/proc/self")), "proc");
        assert_ne!(file_system(Path::new("/")), "proc");
    }

    #[test]
    fn times_are_in_utc() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_066_000_500);
        assert_eq!(utc(time), "2025-11-25T10:20:00Z");
    }
}
