// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Interposes mmap, munmap and mremap, to know where views are mapped.

use core::ffi::{c_int, c_void};
use core::ops::Range;
use core::sync::atomic::Ordering;

use crate::table::Mapping;
use crate::view::ViewId;
use crate::{IN_USE, TABLE, start_guarding, sys};

/// mmap(2).
///
/// # Safety
/// As of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { map(address, length, protection, flags, descriptor, offset) }
}

/// mmap(2) with large offsets, which on 64 bits is the same.
///
/// # Safety
/// As of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mmap64(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> *mut c_void {
    // SAFETY: the caller's.
    unsafe { map(address, length, protection, flags, descriptor, offset) }
}

/// munmap(2).
///
/// # Safety
/// As of libc's.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    let range = pages(address.addr(), length);
    let call = address.addr()..address.addr().wrapping_add(length);
    // SAFETY: the caller's.
    let unmap = || unsafe { sys::munmap(&call) };
    let done = if IN_USE.load(Ordering::Acquire) {
        let mut table = TABLE.lock();
        let done = unmap();
        if done.is_ok() {
            table.forget(&range);
        }
        done
    } else {
        unmap()
    };
    if done.is_ok() { 0 } else { -1 }
}

/// mremap(2). A moved mapping is not guarded any more; QEMU's emulation of machines moves none.
///
/// # Safety
/// As for libc's, whose fifth argument exists with MREMAP_FIXED only. It is read here in any case,
/// and used with that flag only.
#[cfg_attr(not(test), unsafe(no_mangle))]
pub unsafe extern "C" fn mremap(
    old: *mut c_void,
    old_length: usize,
    length: usize,
    flags: c_int,
    new: *mut c_void,
) -> *mut c_void {
    // SAFETY: the caller's.
    let call = || unsafe { sys::mremap(old.addr(), old_length, length, flags, new.addr()) };
    let moved = if IN_USE.load(Ordering::Acquire) {
        let mut table = TABLE.lock();
        let moved = call();
        if let Ok(moved) = moved {
            table.forget(&pages(old.addr(), old_length));
            table.forget(&pages(moved, length));
        }
        moved
    } else {
        call()
    };
    pointer(moved)
}

/// # Safety
/// As for mmap.
unsafe fn map(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: i64,
) -> *mut c_void {
    let view = shared_file(flags, descriptor)
        .then(|| ViewId::of(descriptor))
        .flatten();
    if view.is_some() {
        start_guarding();
    }
    let call = address.addr()..address.addr().wrapping_add(length);
    // SAFETY: the caller's.
    let map = || unsafe { sys::mmap(call, protection, flags, descriptor, offset as u64) };
    if !IN_USE.load(Ordering::Acquire) {
        return pointer(map());
    }
    let mut table = TABLE.lock();
    let mapped = map();
    if let Ok(start) = mapped {
        let range = pages(start, length);
        table.forget(&range);
        if let Some(view) = view {
            table.insert(Mapping {
                start: range.start,
                end: range.end,
                offset: offset as u64,
                descriptor,
                protection,
                view,
                id: 0,
                guest: None,
            });
        }
    }
    pointer(mapped)
}

/// Whether a mapping is a shared one of a file.
fn shared_file(flags: c_int, descriptor: c_int) -> bool {
    let kind = flags & libc::MAP_TYPE;
    let shared = kind == libc::MAP_SHARED || kind == libc::MAP_SHARED_VALIDATE;
    shared && flags & libc::MAP_ANONYMOUS == 0 && descriptor >= 0
}

fn pages(start: usize, length: usize) -> Range<usize> {
    let end = start.saturating_add(length);
    start..sys::page_of(end.saturating_add(sys::page_size() - 1))
}

fn pointer(mapped: Result<usize, sys::Errno>) -> *mut c_void {
    match mapped {
        Ok(start) => core::ptr::with_exposed_provenance_mut(start),
        Err(errno) => {
            sys::set_errno(errno);
            libc::MAP_FAILED
        }
    }
}
