// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The SIGBUS handler: lets the daemon survive lost pages of guest memory.
//!
//! Guest memory consists of mapped files, and the guest itself can truncate those of the window. A
//! system call with an address behind a file's end fails with EFAULT. But virtiofsd's server copies
//! headers and names by plain loads and stores, for which the kernel sends SIGBUS. So a guest that
//! puts such an address into a descriptor, or a ring there, would end the daemon.
//!
//! The handler maps a page of zeros in place of the lost page, in the daemon's mapping alone, and
//! lets the access be repeated. The guest only harms itself: its request reads as zeros, or its
//! reply is dropped. The page of zeros is unmapped with the mapping around it.
//!
//! Each such page splits a mapping in three, and a process may have 65,530 mappings. So after
//! [`SINGLE_PAGES`] of them one mapping replaces the rest of a region, from the lost page to the
//! end. It replaces all earlier ones there, so mappings never run out.
//!
//! The handler does not distinguish faults elsewhere: guest memory is the only file that the daemon
//! maps and that may shrink. For a page of the program itself, zeros end the process as the signal
//! would.
//!
//! Non-goal: guest memory on hugetlbfs, whose pages can't be replaced one by one. Only the VMM
//! could truncate it.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

thread_local! {
    /// Pages replaced for this thread since it last called [`take`]. Access needs neither set-up
    /// nor clean-up, so the handler may use it.
    static REPLACED: AtomicU64 = const { AtomicU64::new(0) };
}

/// How many pages of this process are replaced one by one. Each needs two more mappings.
const SINGLE_PAGES: usize = 4096;
/// Regions whose ends are known: more than a VMM has.
const MOST_REGIONS: usize = 1024;

/// How many pages have been replaced one by one.
static REPLACED_SINGLY: AtomicUsize = AtomicUsize::new(0);
/// A list of the regions of all devices. Its entries are never removed.
static TABLES: AtomicPtr<Table> = AtomicPtr::new(ptr::null_mut());

/// One region's addresses; `end` is 0 in a free slot.
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
/// Only the control thread maps regions, and it updates this list first. So a fault at an address
/// in the list is a fault in that region. If the region has gone since, the thread that touches it
/// still holds it, and no other file is mapped there yet.
pub(crate) struct Regions(&'static Table);

// SAFETY: all fields that change are atomic; `next` is set before the table is shared.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Regions {
    /// A table without regions.
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
        // The handler may read the table at any time, so it is never freed, but used again.
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

    /// Replaces the list: start and length in bytes of each region. Regions beyond [`MOST_REGIONS`]
    /// are left out; their pages are always replaced one by one.
    pub(crate) fn update(&self, regions: impl Iterator<Item = (*mut u8, usize)>) {
        let mut slots = self.0.slots.iter();
        // In this order, `zip` takes no slot when there is no region left.
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
        // SAFETY: entries of the list are never freed, and change by atomics only.
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
        // Another region may have taken this slot meanwhile.
        let same = slot.end.load(Ordering::Acquire) == end;
        (same && (start..end).contains(&address)).then_some(end)
    })
}

/// `si_code` of an access behind the end of a mapped file.
const BEHIND_THE_END: c_int = libc::BUS_ADRERR;

/// Installs the handler. Only the first call in a process has an effect.
pub(crate) fn install_handler() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_RESTART;
        let action = SigAction::new(SigHandler::SigAction(replace_page), flags, SigSet::empty());
        // SAFETY: the handler calls only mmap and sigaction, and accesses only its thread's counter
        // and atomics, all of which a signal handler may do.
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
    // SAFETY: this sets the default action, so no handler is involved. The access is repeated and
    // ends the process; if sigaction fails, the handler runs again.
    let _ = unsafe { sigaction(Signal::SIGBUS, &default) };
}

/// Replaces the page at `address`, which a thread could not access. After many of them, replaces
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
    // SAFETY: the pages belong to a mapping of a file (an access elsewhere gets SIGSEGV), and end
    // where that mapping ends. A thread that touches guest memory holds the region table that owns
    // the mapping, so no other mapping can be there by now. Volatile accesses allow for its content
    // to change.
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
    /// Every second of them is more than the number of mappings that a process may have.
    const PAGES: usize = 70_000;

    /// Without the bound this test is killed by SIGBUS, when the process has no mapping left.
    #[test]
    fn a_process_does_not_run_out_of_mappings() {
        install_handler();
        let file = tempfile::tempfile().expect("a file");
        let len = PAGES * PAGE;
        file.set_len(len as u64).expect("a sparse file");
        // SAFETY: a new mapping, which no other code uses.
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
        // A page that exists stays the file's.
        file.set_len(PAGE as u64).expect("truncated");
        for page in (0..PAGES).step_by(2) {
            // SAFETY: the byte lies within the mapping.
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
        // Other tests have tables, too, but not a hundred at once.
        (0..100).for_each(|_| drop(Regions::new()));
        assert!(tables().count() < 100);
    }
}
