// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Allocated memory, counted by the allocator of every program that links this crate.
//!
//! This works with and without a sanitizer. It also detects a leak that LeakSanitizer does not:
//! memory that is still reachable, such as a table that only grows. LeakSanitizer covers the
//! allocations of C libraries.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// The largest permitted allocation. The largest legitimate request is a MiB of data, twice, and a
/// mirror of it.
const LARGEST: usize = 8 << 20;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static LARGEST_SEEN: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

impl Counting {
    fn count(size: usize) {
        LIVE.fetch_add(size as isize, Ordering::Relaxed);
        if size > LARGEST_SEEN.load(Ordering::Relaxed) {
            LARGEST_SEEN.fetch_max(size, Ordering::Relaxed);
        }
    }
}

// SAFETY: the system's allocator does all the work. The caller's promises are passed on to it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        Self::count(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

/// The number of allocated bytes.
pub(super) fn live() -> isize {
    LIVE.load(Ordering::Relaxed)
}

/// Checks the largest allocation since the last call.
pub(super) fn check_largest() {
    let largest = LARGEST_SEEN.swap(0, Ordering::Relaxed);
    assert!(
        largest <= LARGEST,
        "{largest} bytes were allocated at once, {LARGEST} are allowed"
    );
}
