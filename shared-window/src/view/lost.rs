// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Pages that a VMM has lost of the files that it maps by views.
//!
//! A page of a mapped file can be gone: the file was truncated, or the disk is full. A VMM that
//! survives this (QEMU with `qemu/guard`) reports it to the server of views, by an ioctl on the
//! view. The server of the share has to know it, so that the guest's next fsync fails. Both
//! processes share a page of memory, made before the fork: the server of views adds to it, the
//! server of the share reads it. While nothing is lost that costs a load, and no system call, which
//! the filter might not allow.
//!
//! A process that has a view can report anything about that view's file, and about no other. The
//! server of views never reads what it adds to this memory.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::passthrough::FIRST_INODE;

/// Reports about views with a higher number are dropped. A VMM does not have that many descriptors.
const SLOTS: usize = 1 << 16;

/// The most pages of one report: those of the largest window.
const MOST: u64 = (16 << 30) / 4096;

/// The number of a view, among the open ones of one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ViewNumber(u32);

/// Stores to a view's pages that never reached the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostStores {
    /// How many pages were stored to.
    pub pages: u64,
    /// The offset in the file, in bytes, of the last of these pages.
    pub offset: u64,
}

/// One report of a VMM.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) offset: u64,
    pub(super) pages: u64,
    pub(super) stored: bool,
}

/// The losses so far. Clones share them, also across a fork.
#[derive(Debug, Clone)]
pub struct LostPages(Arc<Memory>);

#[derive(Debug)]
struct Memory(NonNull<Shared>);

#[repr(C)]
struct Shared {
    reports: AtomicU64,
    pages: AtomicU64,
    views: [Lost; SLOTS],
}

#[repr(C)]
struct Lost {
    stored: AtomicU64,
    offset: AtomicU64,
}

// SAFETY: the memory consists of atomics.
unsafe impl Send for Memory {}
// SAFETY: the memory consists of atomics.
unsafe impl Sync for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the memory was mapped with this length, and no other code has the address.
        unsafe { libc::munmap(self.0.as_ptr().cast(), size_of::<Shared>()) };
    }
}

impl ViewNumber {
    /// The number of an open view; `None` if that is the file itself.
    #[must_use]
    pub fn of(view: BorrowedFd<'_>) -> Option<Self> {
        let inode = rustix::fs::fstat(view).ok()?.st_ino;
        let number = u32::try_from(inode.checked_sub(FIRST_INODE)?).ok()?;
        Some(Self(number))
    }
}

impl LostPages {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: new memory. All zeros are a valid value of atomics.
        let mapped = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Shared>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        match NonNull::new(mapped) {
            Some(start) if mapped != libc::MAP_FAILED => Ok(Self(Arc::new(Memory(start.cast())))),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the memory is mapped as long as `self` exists, and consists of atomics.
        unsafe { self.0.0.as_ref() }
    }

    /// Adds a VMM's report about the view of this number.
    pub(super) fn report(&self, number: u64, report: Report) {
        let shared = self.shared();
        let pages = report.pages.min(MOST);
        shared.pages.fetch_add(pages, Ordering::Relaxed);
        let view = usize::try_from(number).ok();
        if let Some(lost) = view.and_then(|index| shared.views.get(index))
            && report.stored
        {
            lost.offset.store(report.offset, Ordering::Relaxed);
            lost.stored.fetch_add(pages, Ordering::Relaxed);
        }
        // A reader that sees this number also sees all that was added before.
        shared.reports.fetch_add(1, Ordering::Release);
    }

    /// The number of the VMM's reports since the service of views was made.
    #[must_use]
    pub fn reports(&self) -> u64 {
        self.shared().reports.load(Ordering::Acquire)
    }

    /// How many pages these reports say were lost, whether the guest had stored to them or not.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.shared().pages.load(Ordering::Relaxed)
    }

    /// The stores to lost pages of this view since the last call.
    #[must_use]
    pub fn take(&self, view: ViewNumber) -> Option<LostStores> {
        let lost = self.shared().views.get(view.0 as usize)?;
        if lost.stored.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(LostStores {
            pages: lost.stored.swap(0, Ordering::Relaxed),
            offset: lost.offset.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_concerns_its_view_alone_and_is_taken_once() {
        let lost = LostPages::new().unwrap();
        let report = |number, stored| {
            let (offset, pages) = (8192, 3);
            lost.report(
                number,
                Report {
                    offset,
                    pages,
                    stored,
                },
            );
        };
        report(1, false);
        assert_eq!((lost.reports(), lost.pages()), (1, 3));
        assert_eq!(lost.take(ViewNumber(1)), None, "nothing was stored");
        report(1, true);
        report(1, true);
        assert_eq!(lost.take(ViewNumber(0)), None);
        let (pages, offset) = (6, 8192);
        assert_eq!(lost.take(ViewNumber(1)), Some(LostStores { pages, offset }));
        assert_eq!(lost.take(ViewNumber(1)), None);
    }

    #[test]
    fn what_a_vmm_says_is_bounded() {
        let lost = LostPages::new().unwrap();
        for number in [SLOTS as u64, u64::MAX] {
            lost.report(
                number,
                Report {
                    offset: u64::MAX,
                    pages: u64::MAX,
                    stored: true,
                },
            );
        }
        assert_eq!((lost.reports(), lost.pages()), (2, 2 * MOST));
        assert_eq!(lost.take(ViewNumber(u32::MAX)), None);
    }

    #[test]
    fn a_descriptor_that_is_no_view_has_no_number() {
        use std::os::fd::AsFd;

        let file = tempfile::tempfile().unwrap();
        assert_eq!(ViewNumber::of(file.as_fd()), None);
    }
}
