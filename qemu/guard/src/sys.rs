// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! System calls that bypass the interposed functions of libc. All of them may be made in a signal
//! handler. They need and change nothing of the calling thread except `errno`, which the handler
//! preserves.

use core::ffi::{c_int, c_long, c_void};
use core::mem::MaybeUninit;
use core::ops::Range;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::time::Duration;

/// An error number.
pub(crate) type Errno = c_int;

/// All signals. The kernel's sets have 64 bits.
pub(crate) const ALL_SIGNALS: u64 = u64::MAX;

static PAGE_SIZE: AtomicUsize = AtomicUsize::new(4096);

/// Reads the page size, once, before anything else.
pub(crate) fn learn_page_size() {
    // SAFETY: sysconf takes a number.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    if let Ok(size) = usize::try_from(size) {
        PAGE_SIZE.store(size, Ordering::Relaxed);
    }
}

pub(crate) fn page_size() -> usize {
    PAGE_SIZE.load(Ordering::Relaxed)
}

/// The first byte of the page of `address`.
pub(crate) fn page_of(address: usize) -> usize {
    address & !(page_size() - 1)
}

/// The calling thread's error number.
pub(crate) fn errno() -> Errno {
    // SAFETY: the place is the thread's own and always there.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set_errno(errno: Errno) {
    // SAFETY: the place is the thread's own and always there.
    unsafe { *libc::__errno_location() = errno }
}

fn result(value: c_long) -> Result<usize, Errno> {
    usize::try_from(value).map_err(|_| errno())
}

/// mmap(2).
///
/// # Safety
/// With MAP_FIXED the caller owns the address range.
pub(crate) unsafe fn mmap(
    at: Range<usize>,
    protection: c_int,
    flags: c_int,
    descriptor: c_int,
    offset: u64,
) -> Result<usize, Errno> {
    let length = at.end - at.start;
    // SAFETY: the caller's.
    let mapped = unsafe {
        libc::syscall(
            libc::SYS_mmap,
            at.start,
            length,
            protection,
            flags,
            descriptor,
            offset,
        )
    };
    // User space addresses are not negative.
    result(mapped)
}

/// munmap(2).
///
/// # Safety
/// The caller owns what lies there.
pub(crate) unsafe fn munmap(range: &Range<usize>) -> Result<(), Errno> {
    // SAFETY: the caller's.
    let done = unsafe { libc::syscall(libc::SYS_munmap, range.start, range.end - range.start) };
    result(done).map(drop)
}

/// mremap(2), with all its arguments.
///
/// # Safety
/// The caller owns both ranges.
pub(crate) unsafe fn mremap(
    old: usize,
    old_length: usize,
    length: usize,
    flags: c_int,
    new: usize,
) -> Result<usize, Errno> {
    // SAFETY: the caller's.
    let moved = unsafe { libc::syscall(libc::SYS_mremap, old, old_length, length, flags, new) };
    result(moved)
}

/// mprotect(2) of a range of lost pages.
///
/// # Safety
/// The caller owns what lies there.
pub(crate) unsafe fn protect(range: &Range<usize>, protection: c_int) -> Result<(), Errno> {
    let length = range.end - range.start;
    // SAFETY: the caller's.
    let done = unsafe { libc::syscall(libc::SYS_mprotect, range.start, length, protection) };
    result(done).map(drop)
}

/// madvise(2), for advice that changes only which pages are present.
pub(crate) fn advise(range: &Range<usize>, advice: c_int) -> Result<(), Errno> {
    let length = range.end - range.start;
    // SAFETY: populating pages changes no content.
    let done = unsafe { libc::syscall(libc::SYS_madvise, range.start, length, advice) };
    result(done).map(drop)
}

/// Reads memory of this process that may be gone; returns how many bytes could be read.
pub(crate) fn read_memory(from: usize, into: &mut [u8]) -> usize {
    let local = libc::iovec {
        iov_base: into.as_mut_ptr().cast(),
        iov_len: into.len(),
    };
    let remote = libc::iovec {
        iov_base: core::ptr::without_provenance_mut::<c_void>(from),
        iov_len: into.len(),
    };
    // SAFETY: the kernel writes only to `into`, and fails for an address that is not mapped.
    let read = unsafe {
        libc::syscall(
            libc::SYS_process_vm_readv,
            libc::getpid(),
            &raw const local,
            1,
            &raw const remote,
            1,
            0,
        )
    };
    result(read).unwrap_or(0)
}

/// Inode number, size and file system of a file from the kernel's cache: a view's server isn't
/// asked.
pub(crate) fn stat(descriptor: c_int) -> Result<libc::statx, Errno> {
    let mut stat = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: the path is empty, and all zeros are a valid value of the structure that the kernel
    // fills.
    unsafe {
        let done = libc::syscall(
            libc::SYS_statx,
            descriptor,
            c"".as_ptr(),
            flags,
            libc::STATX_INO | libc::STATX_SIZE,
            stat.as_mut_ptr(),
        );
        result(done).map(|_| stat.assume_init())
    }
}

/// Reads a byte of a file; returns how many bytes there were.
pub(crate) fn read_byte(descriptor: c_int, offset: u64) -> Result<usize, Errno> {
    let mut byte = 0_u8;
    // SAFETY: there is room for the byte.
    let read = unsafe {
        libc::syscall(
            libc::SYS_pread64,
            descriptor,
            &raw mut byte,
            size_of::<u8>(),
            offset,
        )
    };
    result(read)
}

/// An ioctl that reads its argument. A failure has no effect.
pub(crate) fn control<T>(descriptor: c_int, request: u32, argument: &T) {
    // SAFETY: the argument is there for the call, which doesn't write to it.
    unsafe {
        libc::syscall(
            libc::SYS_ioctl,
            descriptor,
            request,
            core::ptr::from_ref(argument),
        )
    };
}

/// The magic number of the file system that the file is on.
pub(crate) fn file_system(descriptor: c_int) -> Result<i64, Errno> {
    let mut stat = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: fstatfs fills the whole of it where it succeeds.
    unsafe {
        match libc::fstatfs(descriptor, stat.as_mut_ptr()) {
            0 => Ok(stat.assume_init().f_type),
            _ => Err(errno()),
        }
    }
}

pub(crate) fn duplicate(descriptor: c_int) -> Result<c_int, Errno> {
    // SAFETY: a call without pointers.
    match unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) } {
        -1 => Err(errno()),
        own => Ok(own),
    }
}

pub(crate) fn close(descriptor: c_int) {
    // SAFETY: the caller's own descriptor.
    unsafe { libc::close(descriptor) };
}

/// Writes a line to standard error. A line that can't be written is lost.
pub(crate) fn say(line: &[u8]) {
    // SAFETY: the bytes are there for the call.
    unsafe { libc::write(2, line.as_ptr().cast(), line.len()) };
}

/// The time since a fixed moment.
pub(crate) fn now() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills the time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Waits until `word` is no longer `value`, a thread wakes this one, or `limit` has passed.
pub(crate) fn futex_wait(word: &AtomicU32, value: u32, limit: Option<Duration>) {
    let time = limit.map(|limit| libc::timespec {
        tv_sec: limit.as_secs() as libc::time_t,
        tv_nsec: limit.subsec_nanos().into(),
    });
    let time = time.as_ref().map_or(core::ptr::null(), core::ptr::from_ref);
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: word and time are there for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, time) };
}

pub(crate) fn futex_wake(word: &AtomicU32, count: c_int) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the word is there for the call.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, count) };
}

/// Sets, extends or reduces the calling thread's blocked signals; returns the earlier ones.
pub(crate) fn signal_mask(how: c_int, set: u64) -> u64 {
    let mut before = 0_u64;
    // SAFETY: both sets have the length that is named.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            how,
            &raw const set,
            &raw mut before,
            size_of::<u64>(),
        )
    };
    before
}

/// The bit of a signal in a set.
pub(crate) fn signal_bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}
