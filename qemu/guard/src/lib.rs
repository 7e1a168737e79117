// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A library that is preloaded into an unmodified QEMU, so that a page of the DAX window that the
//! host can't supply doesn't end the VM.
//!
//! A page of a mapped file can be lost: the file was truncated, the disk is full, a read failed. A
//! thread that accesses it gets SIGBUS, which kills QEMU because QEMU blocks that signal; under KVM
//! the VM stops with EFAULT. This library keeps SIGBUS unblocked, and replaces lost pages of views
//! by zeros (views are the descriptors that `virtiofs-daxd` has QEMU map; no other mapping is
//! changed). When the file has the pages again, the library maps them again.
//!
//! ```text
//!   QEMU: mmap, munmap ──▶ memory ──▶ table (where views are mapped, which pages are lost)
//!   SIGBUS, SIGSEGV ──▶ signals ──▶ fault: zeros in the place of lost pages ──▶ table
//!   KVM_RUN: EFAULT ──▶ kvm ─────────┘                                            │
//!                       restore's thread: maps the file again ◀── while pages are lost
//! ```
//!
//! - **SIGBUS** (`BUS_ADRERR`) at a view's page: the lost pages around it become one anonymous
//!   mapping, read-only at first.
//! - **SIGSEGV** (`SEGV_ACCERR`) at such a page: the guest's first store to it. The store never
//!   reaches the file. The mapping becomes writable, and the loss is reported.
//! - Signals elsewhere go to QEMU's own handler.
//!
//! Invariants: a handler allocates nothing, and takes no lock except this library's, which no
//! thread holds while signals can reach it. The table is changed together with the kernel's
//! mappings, under its lock, so the library never replaces an address range that is no view's
//! mapping any more.
//!
//! Only `core` and system calls are used, so that the library loads beside any libc that QEMU runs
//! with; `std` is linked because rustc needs it.

#![cfg_attr(not(test), no_std)]
// Only the exported functions use the rest, and a test program must not interpose its own libc.
#![cfg_attr(
    test,
    expect(dead_code, reason = "nothing is exported to a test program")
)]

extern crate std;

mod fault;
mod kvm;
mod lock;
mod memory;
mod next;
mod restore;
mod say;
mod signals;
mod sorted;
mod sys;
mod table;
mod view;

use core::ffi::CStr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use lock::Lock;
use table::Table;

/// The mappings of views.
static TABLE: Lock<Table> = Lock::new(Table::new());

/// Whether any view has been mapped. Before that no look-up is needed.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// An environment variable that asks this library to report that it is loaded. `daxlab doctor` sets
/// it: a loader that can't take a library starts the program all the same.
const HELLO: &CStr = c"QEMU_GUARD_HELLO";

/// The dynamic loader runs this before the program. Threads inherit their signal mask, so SIGBUS
/// has to be unblocked before the first thread starts.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    sys::learn_page_size();
    signals::unblock();
    // SAFETY: the name ends with a zero byte, and no thread exists yet that could change the
    // environment.
    if !unsafe { libc::getenv(HELLO.as_ptr()) }.is_null() {
        sys::say(b"qemu-guard: loaded\n");
    }
}

/// Called before the first view is mapped. Not in a handler: this starts a thread.
fn start_guarding() {
    if !IN_USE.swap(true, Ordering::AcqRel) {
        hold_locks_at_forks();
        signals::install();
        restore::start();
    }
}

/// The forking thread's signal mask, while it forks; behind [`TABLE`]'s lock.
static FORKING: AtomicU64 = AtomicU64::new(0);

fn hold_locks_at_forks() {
    // SAFETY: the functions are this library's, which is never unloaded.
    unsafe { libc::pthread_atfork(Some(before_fork), Some(after_fork), Some(after_fork)) };
}

/// A lock that another thread holds at a fork would stay held in the child for good, which has no
/// such thread. So the forking thread holds both. The lock of a page's content is only ever taken
/// under the table's.
unsafe extern "C" fn before_fork() {
    let signals = TABLE.lock().keep();
    signals::ACTIONS.lock().keep();
    FORKING.store(signals, Ordering::Relaxed);
}

/// In the parent and in the child.
unsafe extern "C" fn after_fork() {
    let signals = FORKING.load(Ordering::Relaxed);
    // SAFETY: `before_fork` has kept both; all signals were blocked when it took the second one.
    unsafe {
        signals::ACTIONS.release(sys::ALL_SIGNALS);
        TABLE.release(signals);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// How long a child may take; without the handlers it never ends.
    const DEADLINE: Duration = Duration::from_secs(20);

    #[test]
    fn a_lock_that_is_held_at_a_fork_is_free_in_the_child() {
        hold_locks_at_forks();
        let (taken, is_taken) = mpsc::channel();
        let holder = thread::spawn(move || {
            let table = TABLE.lock();
            taken.send(()).expect("it is waited for");
            // Until the fork waits for it, or has not waited.
            let begin = Instant::now();
            while !TABLE.is_awaited() && begin.elapsed() < Duration::from_secs(2) {
                thread::yield_now();
            }
            drop(table);
        });
        is_taken.recv().expect("the holder lives");
        // SAFETY: the child only takes and releases locks.
        let child = unsafe { libc::fork() };
        if child == 0 {
            drop(TABLE.lock());
            drop(signals::ACTIONS.lock());
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) }
        }
        holder.join().expect("it ends");
        let (begin, mut status) = (Instant::now(), 0);
        // SAFETY: `status` is a place for a number.
        while unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } == 0 {
            if begin.elapsed() > DEADLINE {
                // SAFETY: the child is this process's, and has not been waited for.
                unsafe { libc::kill(child, libc::SIGKILL) };
            }
            thread::yield_now();
        }
        assert_eq!(status, 0, "the child has ended by itself");
        drop(TABLE.lock());
    }
}
