// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Survives guest memory that is gone.
//!
//! Guest memory is made of files, and those of the window can be truncated by the guest itself.
//! System calls that are given an address behind the end fail with EFAULT, but virtiofsd's server
//! copies headers and names by plain loads and stores, which the kernel answers with SIGBUS. A
//! guest that names such an address in a descriptor, or puts a ring there, would so end the daemon.
//!
//! The handler puts a page of zeros in the place of the page that is gone, in the daemon's mapping
//! alone, and lets the access be repeated. What the guest gets is what it deserves: its request is
//! zeros, or its reply is lost. The page goes with the mapping that it is part of.
//!
//! A fault elsewhere is not told apart: of files that may shrink the daemon maps nothing but guest
//! memory. Were it a page of the program itself, zeros would end the process as the signal would.
//!
//! Non-goal: guest memory on hugetlbfs, of which no part can be replaced. Only the VMM could
//! truncate that.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

thread_local! {
    /// Pages replaced for this thread since it last called [`take`]. Needs neither set-up nor
    /// clean-up, so the handler may use it.
    static REPLACED: AtomicU64 = const { AtomicU64::new(0) };
}

/// `si_code` of an access behind the end of a mapped file.
const BEHIND_THE_END: c_int = libc::BUS_ADRERR;

/// Installs the handler; the first call of a process does it.
pub(super) fn install_handler() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let flags = SaFlags::SA_SIGINFO | SaFlags::SA_ONSTACK | SaFlags::SA_RESTART;
        let action = SigAction::new(SigHandler::SigAction(replace_page), flags, SigSet::empty());
        // SAFETY: the handler calls nothing but mmap and sigaction and touches nothing but its
        // thread's number, all of which a signal handler may do.
        if let Err(errno) = unsafe { sigaction(Signal::SIGBUS, &action) } {
            log::warn!("a guest that truncates its memory can end this daemon: {errno}");
        }
    });
}

/// How many pages were replaced for the calling thread since its last call.
pub(super) fn take() -> u64 {
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

/// Replaces the page at `address`, of which a thread was just refused an access.
fn put_zeros_at(address: *mut c_void) -> bool {
    let page = shared_window::page_size() as usize;
    let start = address.map_addr(|address| address & !(page - 1));
    // SAFETY: the page belongs to a mapping of a file, or the access would have been answered with
    // SIGSEGV. Whoever touches guest memory holds the table of regions that owns the mapping, so it
    // cannot be another's by now, and volatile accesses allow for its content to change.
    let mapped = unsafe {
        libc::mmap(
            start,
            page,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    !ptr::eq(mapped, libc::MAP_FAILED)
}
