// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A part of a file in memory.

use std::fs::File;
use std::io;
use std::ptr;

use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};

use crate::work::Stamp;

/// The beginning of a file, mapped shared.
#[derive(Debug)]
pub(super) struct Mapping {
    start: *mut u8,
    len: usize,
    writable: bool,
}

// SAFETY: it is memory that any thread may use; all accesses are volatile words, and whoever stores
// to a page of it stores what others may see at any time.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes.
    pub(super) fn of(file: &File, len: u64, writable: bool) -> io::Result<Self> {
        let mut protection = ProtFlags::READ;
        if writable {
            protection |= ProtFlags::WRITE;
        }
        let len = len as usize;
        // SAFETY: a new mapping, whose place the kernel chooses, is in nobody's way.
        let start = unsafe { mmap(ptr::null_mut(), len, protection, MapFlags::SHARED, file, 0) }?;
        Ok(Self {
            start: start.cast(),
            len,
            writable,
        })
    }

    /// The stamp of the page that begins at `at`: two words are loaded from it.
    pub(super) fn load(&self, at: u64) -> Stamp {
        let word = |at| {
            u64::from_le(self.words(at, |word| {
                // SAFETY: `words` gives an aligned place within the mapping.
                unsafe { word.read_volatile() }
            }))
        };
        Stamp {
            identity: word(at),
            version: word(at + 8),
        }
    }

    /// Stores the stamp of the page that begins at `at`.
    pub(super) fn store(&self, at: u64, stamp: Stamp) {
        assert!(self.writable, "mapped to load from");
        let store = |at, value: u64| {
            self.words(at, |word| {
                // SAFETY: `words` gives an aligned place within the mapping, which is writable.
                unsafe { word.write_volatile(value.to_le()) }
            });
        };
        store(at, stamp.identity);
        store(at + 8, stamp.version);
    }

    /// The bytes of a page, for the kernel to refer to.
    pub(super) fn page(&self, at: u64) -> *const u8 {
        self.words(at, |word| word.cast_const().cast())
    }

    /// Writes back what was stored.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.writable {
            // SAFETY: it is this mapping.
            unsafe { msync(self.start.cast(), self.len, MsyncFlags::SYNC) }?;
        }
        Ok(())
    }

    fn words<T>(&self, at: u64, with: impl FnOnce(*mut u64) -> T) -> T {
        let at = at as usize;
        assert!(
            at.is_multiple_of(8) && at + 8 <= self.len,
            "byte {at} of {}",
            self.len
        );
        // SAFETY: it is within the mapping, as was just looked at.
        with(unsafe { self.start.add(at) }.cast())
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: nobody refers to it any more. It can't fail for a whole mapping.
        unsafe { munmap(self.start.cast(), self.len) }.ok();
    }
}
