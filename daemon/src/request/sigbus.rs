// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The SIGBUS handler: survives guest memory that is gone.
//!
//! Guest memory is made of files, and those of the window can be truncated by the guest itself.
//! System calls that are given an address behind the end fail with EFAULT, but virtiofsd's server
//! copies headers and names by plain loads and stores, which the kernel answers with SIGBUS. A
//! guest that names such an address in a descriptor, or puts a ring there, would so end the daemon.
//!
//! The handler puts a page of zeros in the place of the page that is gone, in the daemon's mapping
//! alone, and lets the access be repeated. The guest only harms itself: its request reads as zeros, or
//! its reply is dropped. The page goes with the mapping that it is part of.
//!
//! Each such page splits a mapping in three, and a process may have 65,530 of them. So after
//! [`SINGLE_PAGES`] of them a region is replaced from the page that is gone to its end, by one
//! mapping. It takes the place of all that there were, so this never runs out.
//!
//! The handler does not distinguish faults elsewhere: the only files that may shrink and that the
//! daemon maps are guest memory. For a page of the program itself, zeros end the process as the signal
//! would.
//!
//! Non-goal: guest memory on hugetlbfs, of which no part can be replaced. Only the VMM could
//! truncate that.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

thread_local! {
    /// Pages replaced for this thread since it last called [`take`]. Needs neither set-up nor
    /// clean-up, so the handler may use it.
    static REPLACED: AtomicU64 = const { AtomicU64::new(0) };
}

/// Pages of this process that are replaced one by one. Each takes two mappings more.
const SINGLE_PAGES: usize = 4096;
/// Regions whose ends are known: more than a VMM has.
const MOST_REGIONS: usize = 1024;

/// How many pages have been replaced one by one.
static REPLACED_SINGLY: AtomicUsize = AtomicUsize::new(0);
/// Where the regions of all devices are. What is in the list stays there.
static TABLES: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());

/// One region's addresses; `end` is 0 where there is none.
struct Slot {
    start: AtomicUsize,
    end: AtomicUsize,
}

struct Table {
    next: *mut Table,
    taken: AtomicBool,
    slots: [Slot; MOST_REGIONS],
}

/// Tells the handler where guest memory is.
///
/// Only the control thread maps regions, and it updates this list before it does anything else. So a
/// fault at an address in the list is a fault in that region: a region that has gone since is held by the
/// thread that touches it, and no other file is mapped there yet.
pub(crate) struct Regions(&'static Table);

// SAFETY: what changes in it is atomic; `next` is set before it is shared.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Regions {
    /// Knows of no region yet.
    pub(crate) fn new() -> Self {
        for table in tables() {
            if !table.taken.swap(true, Ordering::Acquire) {
                return Self(table);
            }
        }
        let none = || Slot {
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
        };
        // The handler may be looking at it at any time: it is never freed, but used again.
        let table = Box::leak(Box::new(Table {
            next: TABLES.load(Ordering::Acquire),
            taken: AtomicBool::new(true),
            slots: std::array::from_fn(|_| none()),
        }));
        let new: *mut Table = table;
        while let Err(other) =
            TABLES.compare_exchange(table.next, new, Ordering::AcqRel, Ordering::Acquire)
        {
            table.next = other;
        }
        Self(table)
    }

    /// Replaces the list: start and length in bytes of each region. Beyond [`MOST_REGIONS`] they are left out, and
    /// pages of them are always replaced one by one.
    pub(crate) fn update(&self, regions: impl Iterator<Item = (*mut u8, usize)>) {
        let mut slots = self.0.slots.iter();
        // In this order, which takes no slot where there is no region left.
        for ((start, len), slot) in regions.zip(slots.by_ref()) {
            slot.end.store(0, Ordering::Release);
            slot.start.store(start.addr(), Ordering::Release);
            slot.end.store(start.addr() + len, Ordering::Release);
        }
        slots.for_each(|slot| slot.end.store(0, Ordering::Release));
    }
}

impl Drop for Regions {
    fn drop(&mut self) {
        self.update(std::iter::empty());
        self.0.taken.store(false, Ordering::Release);
    }
}

/// All tables. A signal handler may use this.
fn tables() -> impl Iterator<Item = &'static Table> {
    let mut next = TABLES.load(Ordering::Acquire);
    std::iter::from_fn(move || {
        // SAFETY: what is in the list is never freed nor changed but by atomics.
        let table = unsafe { next.as_ref() }?;
        next = table.next;
        Some(table)
    })
}

/// The end of the region that `address` is in, if that is known. A signal handler may use this.
fn end_of_region(address: usize) -> Option<usize> {
    let slots = tables().flat_map(|table| &table.slots);
    slots.into_iter().find_map(|slot| {
        let end = slot.end.load(Ordering::Acquire);
        let start = slot.start.load(Ordering::Acquire);
        // Another region may have been put into this place meanwhile.
        let same = slot.end.load(Ordering::Acquire) == end;
        (same && (start..end).contains(&address)).then_some(end)
    })
}

/// `si_code` of an access behind the end of a mapped file.
const BEHIND_THE_END: c_int = libc::BUS_ADRERR;

/// Installs the handler; the first call of a process does it.
pub(crate) fn install_handler() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_RESTART;
        let action = SigAction::new(SigHandler::SigAction(replace_page), flags, SigSet::empty());
        // SAFETY: the handler calls nothing but mmap and sigaction and touches nothing but its
        // thread's number and atomics, all of which a signal handler may do.
        if let Err(errno) = unsafe { sigaction(Signal::SIGBUS, &action) } {
            log::warn!("a guest that truncates its memory can end this daemon: {errno}");
        }
    });
}

/// How many pages were replaced for the calling thread since its last call.
pub(crate) fn take() -> u64 {
    REPLACED.with(|replaced| replaced.swap(0, Ordering::Relaxed))
}

extern "C" fn replace_page(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: SA_SIGINFO has the kernel pass a valid siginfo_t, which for SIGBUS has an address.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr()) };
    if code == BEHIND_THE_END && put_zeros_at(address) {
        REPLACED.with(|replaced| replaced.fetch_add(1, Ordering::Relaxed));
        return;
    }
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed. The access is repeated and ends the process; if this fails,
    // it comes back here.
    let _ = unsafe { sigaction(Signal::SIGBUS, &default) };
}

/// Replaces the page at `address`, of which a thread was just refused an access; after many of them
/// the rest of its region, too.
fn put_zeros_at(address: *mut c_void) -> bool {
    let page = shared_window::page_size() as usize;
    let start = address.map_addr(|address| address & !(page - 1));
    let singly = REPLACED_SINGLY.fetch_add(1, Ordering::Relaxed) < SINGLE_PAGES;
    let end = if singly {
        None
    } else {
        end_of_region(start.addr())
    };
    let len = end.map_or(page, |end| end - start.addr());
    // SAFETY: the pages belong to a mapping of a file, or the access would have been answered with
    // SIGSEGV, and end where that ends. A thread that touches guest memory holds the table of regions
    // that owns the mapping, so it cannot be another's by now, and volatile accesses allow for its
    // content to change.
    let mapped = unsafe {
        libc::mmap(
            start,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    !ptr::eq(mapped, libc::MAP_FAILED)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    const PAGE: usize = 4096;
    /// Every second of them is as many mappings as a process may have.
    const PAGES: usize = 70_000;

    /// Without a bound this test ends by SIGBUS, when the process has no mapping left.
    #[test]
    fn a_process_does_not_run_out_of_mappings() {
        install_handler();
        let file = tempfile::tempfile().expect("a file");
        let len = PAGES * PAGE;
        file.set_len(len as u64).expect("a sparse file");
        // SAFETY: a new mapping, which nothing else knows of.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_NORESERVE,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        let start = start.cast::<u8>();
        let regions = Regions::new();
        regions.update([(start, len)].into_iter());
        // A page that is there stays the file's.
        file.set_len(PAGE as u64).expect("truncated");
        for page in (0..PAGES).step_by(2) {
            // SAFETY: it lies within the mapping.
            let byte = unsafe { start.add(page * PAGE).read_volatile() };
            assert_eq!(byte, 0);
        }
        let replaced = take();
        assert!(replaced > SINGLE_PAGES as u64 / 2, "{replaced} at once");
        assert!(replaced < PAGES as u64 / 2 - 1, "{replaced} one by one");
        // SAFETY: as above.
        unsafe { start.write_volatile(7) };
        let mut first = [0];
        std::os::unix::fs::FileExt::read_exact_at(&file, &mut first, 0).expect("the file");
        assert_eq!(first, [7]);
        drop(regions);
        assert_eq!(end_of_region(start.addr()), None);
        // SAFETY: nothing refers to it any more.
        unsafe { libc::munmap(start.cast(), len) };
    }

    #[test]
    fn a_table_is_used_again() {
        let first = Regions::new();
        first.update([(ptr::without_provenance_mut(PAGE), PAGE)].into_iter());
        assert_eq!(end_of_region(2 * PAGE - 1), Some(2 * PAGE));
        assert_eq!(end_of_region(2 * PAGE), None);
        first.update(std::iter::empty());
        assert_eq!(end_of_region(PAGE), None);
        drop(first);
        // Other tests have theirs, but not a hundred at once.
        (0..100).for_each(|_| drop(Regions::new()));
        assert!(tables().count() < 100);
    }
}
