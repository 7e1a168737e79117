// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Whether a READ would have to wait for its file's data.
//!
//! Most file systems say so: with `RWF_NOWAIT` a read of data that is not in memory fails with EAGAIN.
//! Others (FUSE, NFS, overlay on some kernels) refuse the flag. For their files the page cache is asked,
//! by `cachestat(2)` of Linux 6.5. Files of tmpfs are always in memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shared_window::page_size;

/// `SYS_cachestat`, which is the same on all architectures. The libraries in use don't have it yet.
pub(crate) const CACHESTAT: libc::c_int = 451;
/// How many handles are remembered; another one with the same slot is found out again.
const SLOTS: usize = 256;

/// How to read a file without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum Way {
    /// With `RWF_NOWAIT`.
    Try,
    /// The data is always in memory.
    Read,
    /// The page cache has to be asked first.
    Ask,
}

/// The ways of the files that are open.
#[derive(Debug)]
pub struct ReadWays {
    /// The handle and, in the lowest two bits, its way.
    known: [AtomicU64; SLOTS],
    /// The host has no cachestat(2).
    cannot_ask: AtomicBool,
}

/// The way of one handle.
#[derive(Debug, Clone, Copy)]
pub struct ReadWay<'a> {
    ways: &'a ReadWays,
    handle: u64,
}

impl Default for ReadWays {
    fn default() -> Self {
        Self {
            known: [const { AtomicU64::new(0) }; SLOTS],
            cannot_ask: AtomicBool::new(false),
        }
    }
}

impl ReadWays {
    /// The way to read by this handle of the guest. A handle's number is not used again.
    #[must_use]
    pub fn of(&self, handle: u64) -> ReadWay<'_> {
        ReadWay { ways: self, handle }
    }

    fn slot(&self, handle: u64) -> &AtomicU64 {
        &self.known[(handle % SLOTS as u64) as usize]
    }
}

impl ReadWay<'_> {
    pub(super) fn get(self) -> Way {
        let known = self.ways.slot(self.handle).load(Ordering::Relaxed);
        if known >> 2 != self.handle {
            return Way::Try;
        }
        match known & 3 {
            1 => Way::Read,
            2 => Way::Ask,
            _ => Way::Try,
        }
    }

    /// Finds another way to read `file`, which refuses `RWF_NOWAIT`.
    pub(super) fn find(self, file: &File) -> Way {
        let in_memory = rustix::fs::fstatfs(file.as_fd()).is_ok_and(|fs| {
            [libc::TMPFS_MAGIC, libc::HUGETLBFS_MAGIC, RAMFS_MAGIC].contains(&fs.f_type)
        });
        // Where the page cache can't be asked, requests wait for each other as they do in virtiofsd.
        let cannot_ask = self.ways.cannot_ask.load(Ordering::Relaxed);
        let way = match in_memory || cannot_ask {
            true => Way::Read,
            false => Way::Ask,
        };
        self.remember(way);
        way
    }

    /// Whether all pages of these bytes are in memory; true if the host can't say it.
    pub(super) fn is_cached(self, file: &File, offset: u64, len: u64) -> bool {
        match cached_pages(file, offset, len) {
            Ok(pages) => {
                let end = offset.saturating_add(len).div_ceil(page_size());
                pages >= end - offset / page_size()
            }
            Err(_) => {
                self.ways.cannot_ask.store(true, Ordering::Relaxed);
                self.remember(Way::Read);
                true
            }
        }
    }

    fn remember(self, way: Way) {
        let known = self.handle << 2 | way as u64;
        self.ways.slot(self.handle).store(known, Ordering::Relaxed);
    }
}

/// `RAMFS_MAGIC` of `linux/magic.h`.
const RAMFS_MAGIC: i64 = 0x8584_58f6;

/// How many pages of these bytes are in the page cache.
fn cached_pages(file: &File, offset: u64, len: u64) -> io::Result<u64> {
    /// `struct cachestat_range`, in bytes.
    #[repr(C)]
    struct Range {
        offset: u64,
        len: u64,
    }
    /// `struct cachestat`, in pages.
    #[derive(Default)]
    #[repr(C)]
    struct Counts {
        cached: u64,
        _dirty: u64,
        _writeback: u64,
        _evicted: u64,
        _recently_evicted: u64,
    }
    let range = Range { offset, len };
    let mut counts = Counts::default();
    // SAFETY: the kernel reads the first structure and writes the second, which have its layout and
    // outlive the call.
    let done = unsafe { libc::syscall(CACHESTAT.into(), file.as_raw_fd(), &range, &mut counts, 0) };
    match done {
        0 => Ok(counts.cached),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_handle_that_is_not_known_is_tried() {
        let ways = ReadWays::default();
        let file = tempfile::tempfile_in("/dev/shm").unwrap();
        assert_eq!(ways.of(7).get(), Way::Try);
        assert_eq!(ways.of(7).find(&file), Way::Read, "tmpfs");
        assert_eq!(ways.of(7).get(), Way::Read);
        // In the same slot.
        assert_eq!(ways.of(7 + SLOTS as u64).get(), Way::Try);
        // The number of an empty slot.
        assert_eq!(ways.of(0).get(), Way::Try);
    }

    #[test]
    fn the_page_cache_says_what_it_has() {
        let ways = ReadWays::default();
        let page = page_size();
        let mut file = tempfile::tempfile_in("/dev/shm").unwrap();
        file.write_all(&vec![1; 3 * page as usize]).unwrap();
        file.set_len(1 << 20).unwrap();
        let cached = |offset, len| ways.of(1).is_cached(&file, offset, len);
        if !cached(0, 1 << 20) {
            for (offset, len, expected) in [
                (0, 3 * page, true),
                (5, 2 * page, true),
                (2 * page, page + 1, false),
                (8 * page, 1, false),
            ] {
                assert_eq!(cached(offset, len), expected, "{offset} {len}");
            }
        }
        assert!(cached(8 * page, 0));
    }
}
