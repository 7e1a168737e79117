// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Resource use of processes.

use std::fs;
use std::io;
use std::time::Duration;

use super::{DaemonError, Process};

/// Resource use of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageOfOne {
    /// The process.
    pub process: Process,
    /// CPU time of all its threads so far, including threads that have ended.
    pub cpu: Duration,
    /// Bytes of resident memory.
    pub rss: u64,
    /// Bytes of resident memory; a page that N processes share counts as 1/N.
    pub pss: u64,
    /// The part of `pss` that is pages of files, programs included.
    pub pss_file: u64,
    /// The part of `pss` that is memory of no file: anonymous, or shared such as a guest's.
    pub pss_memory: u64,
    /// Bytes of resident memory that no other process maps.
    pub private: u64,
    /// Bytes of page tables.
    pub page_tables: u64,
    /// Open descriptors.
    pub descriptors: usize,
    /// Memory mappings.
    pub mappings: usize,
    /// Threads.
    pub threads: usize,
}

/// Resource use of all processes of a daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage(pub Vec<UsageOfOne>);

impl Usage {
    /// CPU time of all processes.
    pub fn cpu(&self) -> Duration {
        self.0.iter().map(|one| one.cpu).sum()
    }

    /// Resident bytes of all processes. A page that N processes share counts N times.
    pub fn rss(&self) -> u64 {
        self.0.iter().map(|one| one.rss).sum()
    }

    /// Resident bytes of all processes. A page that N processes share counts as 1/N.
    pub fn pss(&self) -> u64 {
        self.0.iter().map(|one| one.pss).sum()
    }

    /// Bytes of resident memory that only one of the processes maps.
    pub fn private(&self) -> u64 {
        self.0.iter().map(|one| one.private).sum()
    }

    /// Open descriptors of all.
    pub fn descriptors(&self) -> usize {
        self.0.iter().map(|one| one.descriptors).sum()
    }

    /// Memory mappings of all.
    pub fn mappings(&self) -> usize {
        self.0.iter().map(|one| one.mappings).sum()
    }

    /// Threads of all.
    pub fn threads(&self) -> usize {
        self.0.iter().map(|one| one.threads).sum()
    }

    /// The use of one process, if it is still listed.
    pub fn of(&self, pid: i32) -> Option<&UsageOfOne> {
        self.0.iter().find(|one| one.process.pid == pid)
    }
}

impl Process {
    /// The process's current use. The kernel walks the page tables for the memory, which takes
    /// milliseconds.
    ///
    /// # Errors
    /// [`DaemonError::Read`] if the process has ended, or may not be inspected.
    pub fn usage(&self) -> Result<UsageOfOne, DaemonError> {
        let rollup = self.read("smaps_rollup")?;
        Ok(UsageOfOne {
            process: self.clone(),
            cpu: self.cpu()?,
            rss: kilobytes(&rollup, "Rss:"),
            pss: kilobytes(&rollup, "Pss:"),
            pss_file: kilobytes(&rollup, "Pss_File:"),
            pss_memory: kilobytes(&rollup, "Pss_Anon:") + kilobytes(&rollup, "Pss_Shmem:"),
            page_tables: kilobytes(&self.read("status")?, "VmPTE:"),
            private: kilobytes(&rollup, "Private_Clean:") + kilobytes(&rollup, "Private_Dirty:"),
            descriptors: self.count("fd")?,
            mappings: self.read("maps")?.lines().count(),
            threads: self.count("task")?,
        })
    }

    /// CPU time of all its threads so far, to the nanosecond.
    ///
    /// # Errors
    /// [`DaemonError::Read`] if the process has ended.
    pub fn cpu(&self) -> Result<Duration, DaemonError> {
        let mut clock = 0;
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: both calls write only to the memory that they are given.
        let error = unsafe {
            match libc::clock_getcpuclockid(self.pid, &mut clock) {
                0 if libc::clock_gettime(clock, &mut time) == 0 => None,
                0 => Some(io::Error::last_os_error()),
                errno => Some(io::Error::from_raw_os_error(errno)),
            }
        };
        match error {
            None => Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32)),
            Some(source) => Err(DaemonError::Read {
                path: self.file("stat"),
                source,
            }),
        }
    }

    fn read(&self, name: &str) -> Result<String, DaemonError> {
        let path = self.file(name);
        fs::read_to_string(&path).map_err(|source| DaemonError::Read { path, source })
    }

    fn count(&self, name: &str) -> Result<usize, DaemonError> {
        let path = self.file(name);
        let entries = fs::read_dir(&path).map(Iterator::count);
        entries.map_err(|source| DaemonError::Read { path, source })
    }
}

/// The value in bytes of a line of smaps_rollup or status.
fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim().strip_suffix("kB"));
    number
        .and_then(|number| number.trim().parse::<u64>().ok())
        .unwrap_or(0)
        << 10
}
