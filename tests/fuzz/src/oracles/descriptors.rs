// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! How many descriptors are open.

use std::cell::RefCell;

use rustix::fs::{Dir, Mode, OFlags};

thread_local! {
    /// `/proc/self/fd`, which a thread opens once: it may be in a directory tree without /proc later.
    static OPEN: RefCell<Option<Dir>> = const { RefCell::new(None) };
}

/// The open descriptors of this process, among them the one to look at them with.
///
/// # Panics
/// Without /proc.
#[must_use]
pub fn open() -> usize {
    OPEN.with_borrow_mut(|slot| {
        let dir = slot.get_or_insert_with(|| {
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::open("/proc/self/fd", flags, Mode::empty());
            Dir::new(opened.expect("/proc is mounted")).expect("a directory")
        });
        // Linux 6.2 and newer say it at once; before, the size is 0.
        match dir.stat().expect("a directory").st_size {
            0 => {
                dir.rewind();
                dir.count()
            }
            count => count as usize,
        }
    })
}
