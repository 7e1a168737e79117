// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Counts open descriptors.

use std::cell::RefCell;
use std::os::fd::RawFd;

use rustix::fs::{Dir, Mode, OFlags};

thread_local! {
    /// `/proc/self/fd`. A thread opens it once, because it may be in a directory tree without /proc
    /// later.
    static OPEN: RefCell<Option<Dir>> = const { RefCell::new(None) };
}

/// The number of open descriptors of this process, including the one that is used to count.
///
/// # Panics
/// If there is no /proc.
/// Without /proc.
#[must_use]
pub fn open() -> usize {
    with_dir(|dir| match dir.stat().expect("a directory").st_size {
        // Linux older than 6.2 doesn't report the number in the status.
        0 => numbers_in(dir).len(),
        count => count as usize,
    })
}

/// The open descriptors.
///
/// # Panics
/// If there is no /proc.
/// Without /proc.
#[must_use]
pub fn numbers() -> Vec<RawFd> {
    with_dir(numbers_in)
}

fn numbers_in(dir: &mut Dir) -> Vec<RawFd> {
    dir.rewind();
    dir.filter_map(|entry| {
        let entry = entry.expect("/proc can be read");
        entry.file_name().to_str().ok()?.parse().ok()
    })
    .collect()
}

fn with_dir<T>(look: impl FnOnce(&mut Dir) -> T) -> T {
    OPEN.with_borrow_mut(|slot| {
        look(slot.get_or_insert_with(|| {
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open("/proc/self/fd", flags, Mode::empty());
            Dir::new(opened.expect("/proc is mounted")).expect("a directory")
        }))
    })
}
