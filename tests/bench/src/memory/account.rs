// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The use of the host's memory.

use std::fs::{self, File};
use std::io;
use std::ops::{Add, Sub};
use std::os::fd::AsRawFd as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use guest_agent::workload::PAGE;
use serde::{Deserialize, Serialize};
use virtiofs_driver::daemon::Usage;

/// The memory of some processes and a file on the host, in bytes; or the growth of it.
///
/// The file's pages are counted once, as `cached`. Mapped pages, such as a window's, are in
/// `mapped_files` as well, which is therefore no part of the [cost](Self::cost).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Memory of the processes and their guests that belongs to no file. Shared memory is counted
    /// once.
    pub private: i64,
    /// Pages of files, programs included, that the processes have mapped. They are counted once,
    /// too.
    pub mapped_files: i64,
    /// The processes' page tables.
    pub page_tables: i64,
    /// The host's page cache of the file.
    pub cached: i64,
    /// The available memory of the whole host (MemAvailable). Other processes affect it.
    pub available: i64,
}

impl Account {
    /// The current account of these processes and this file.
    pub(super) fn take(usages: &[Usage], file: &Path) -> Result<Self> {
        let sum = |of: fn(&Usage) -> u64| usages.iter().map(of).sum::<u64>() as i64;
        let cached = cached(file);
        Ok(Self {
            private: sum(|usage| usage.0.iter().map(|one| one.pss_memory).sum()),
            mapped_files: sum(|usage| usage.0.iter().map(|one| one.pss_file).sum()),
            page_tables: sum(|usage| usage.0.iter().map(|one| one.page_tables).sum()),
            cached: cached.with_context(|| format!("the page cache of {}", file.display()))? as i64,
            available: available()?,
        })
    }

    /// The sum of private memory, page tables and page cache: each byte is counted once.
    pub fn cost(self) -> i64 {
        self.private + self.page_tables + self.cached
    }
}

impl Account {
    fn with(self, other: Self, both: impl Fn(i64, i64) -> i64) -> Self {
        Self {
            private: both(self.private, other.private),
            mapped_files: both(self.mapped_files, other.mapped_files),
            page_tables: both(self.page_tables, other.page_tables),
            cached: both(self.cached, other.cached),
            available: both(self.available, other.available),
        }
    }
}

impl Add for Account {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, i64::add)
    }
}

impl Sub for Account {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, i64::sub)
    }
}

fn available() -> Result<i64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    Ok(number.context("/proc/meminfo has no MemAvailable")? << 10)
}

/// Bytes of a file in the host's page cache (cachestat(2), Linux 6.5).
fn cached(path: &Path) -> io::Result<u64> {
    /// From `linux/mman.h`.
    const SYS_CACHESTAT: libc::c_long = 451;
    let file = File::open(path)?;
    // Offset and length. A length of 0 means the whole file.
    let range = [0_u64; 2];
    // Cached, dirty, under writeback, evicted, recently evicted.
    let mut pages = [0_u64; 5];
    // SAFETY: both arrays are as large as the kernel's structures, and live during the call, which
    // writes only to `pages`.
    let done = unsafe {
        libc::syscall(
            SYS_CACHESTAT,
            file.as_raw_fd(),
            range.as_ptr(),
            pages.as_mut_ptr(),
            0,
        )
    };
    match done {
        0 => Ok(pages[0] * PAGE),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Drops a file from the host's page cache.
///
/// # Errors
///
/// If a page stays. On tmpfs it does, because there is no other copy.
pub fn drop_cached(path: &Path) -> Result<()> {
    let file = File::options().write(true).open(path)?;
    file.sync_all()?;
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    let left = cached(path)?;
    anyhow::ensure!(
        left == 0,
        "{left} bytes of {} stay in the page cache: use a place on a disk, where a page cache is one",
        path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::system::ProcessTree;

    #[test]
    fn a_page_cache_is_seen_to_come_and_go() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![1; 5 * PAGE as usize]).unwrap();
        assert_eq!(cached(&path).unwrap(), 5 * PAGE);
        drop_cached(&path).unwrap();
        assert_eq!(cached(&path).unwrap(), 0);
    }

    #[test]
    fn a_file_that_is_only_in_memory_is_refused() {
        let folder = tempfile::tempdir_in(crate::reclaim::IN_MEMORY).unwrap();
        let path = folder.path().join("file");
        fs::write(&path, [1; 10]).unwrap();
        let error = drop_cached(&path).unwrap_err().to_string();
        assert!(error.contains("use a place on a disk"), "{error}");
    }

    /// The bytes that a process has read count as its own memory, and once as page cache.
    #[test]
    fn a_copy_costs_what_it_takes() {
        const SIZE: usize = 24 << 20;
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![b'x'; SIZE]).unwrap();
        drop_cached(&path).unwrap();
        let account = |pid| Account::take(&[ProcessTree::of(pid).usage().unwrap()], &path).unwrap();
        // The shell keeps the bytes that it has read in a variable.
        let mut shell = Command::new("sh")
            .args(["-c", r#"read x; all=$(cat "$1"); echo; read x"#, "sh"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let before = account(shell.id());
        io::Write::write_all(shell.stdin.as_mut().unwrap(), b"\n").unwrap();
        io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let grown = account(shell.id()) - before;
        drop(shell.stdin.take());
        shell.wait().unwrap();
        let size = SIZE as i64;
        assert_eq!(grown.cached, size);
        assert!(grown.private >= size, "{grown:?}");
        assert!(grown.cost() >= 2 * size, "{grown:?}");
        assert!(grown.mapped_files < size / 8, "{grown:?}");
    }
}
