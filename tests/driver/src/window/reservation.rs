// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window's address space.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr;

use rustix::mm::{MapFlags, MremapFlags, ProtFlags};

/// A range of address space that nothing else can be mapped into.
#[derive(Debug)]
pub(super) struct Reservation {
    base: *mut c_void,
    size: usize,
}

// SAFETY: the address is a number; all access goes through system calls, or through slices whose
// users vouch for them.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

/// A mapping that the guest does not see yet.
#[derive(Debug)]
pub(super) struct Prepared {
    at: *mut c_void,
    len: usize,
}

// SAFETY: nothing refers to the mapping but its address here.
unsafe impl Send for Prepared {}

impl Reservation {
    pub(super) fn new(size: u64) -> io::Result<Self> {
        let size = usize::try_from(size).map_err(io::Error::other)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), size, ProtFlags::empty(), flags)?
        };
        Ok(Self { base, size })
    }

    pub(super) fn size(&self) -> u64 {
        self.size as u64
    }

    /// The address of an offset, which is checked to be within.
    pub(super) fn address(&self, offset: u64) -> *mut u8 {
        assert!(offset <= self.size(), "{offset:#x} is not in the window");
        self.base.cast::<u8>().wrapping_add(offset as usize)
    }

    /// Moves a mapping to `offset`, in place of what is there, in one step.
    pub(super) fn place(&self, prepared: Prepared, offset: u64) -> io::Result<()> {
        assert!(
            offset + prepared.len as u64 <= self.size(),
            "beyond the window"
        );
        let (old, len) = (prepared.at, prepared.len);
        let to = self.address(offset).cast();
        let flags = MremapFlags::MAYMOVE;
        // SAFETY: the mapping is owned by `prepared`, and the place is in the reserved range,
        // whose memory no reference points to.
        unsafe { rustix::mm::mremap_fixed(old, len, len, flags, to)? };
        std::mem::forget(prepared);
        Ok(())
    }

    /// Maps a file at `offset`, where nothing is mapped. If it can't, nothing is there afterwards.
    pub(super) fn map(
        &self,
        file: &File,
        (from, len): (u64, u64),
        writable: bool,
        offset: u64,
    ) -> io::Result<()> {
        let end = offset.checked_add(len).filter(|end| *end <= self.size());
        assert!(end.is_some(), "beyond the window");
        let to = self.address(offset).cast();
        let flags = MapFlags::SHARED | MapFlags::FIXED;
        // SAFETY: the place is in the reserved range, whose memory no reference points to.
        let mapped =
            unsafe { rustix::mm::mmap(to, len as usize, access(writable), flags, file, from) };
        if mapped.is_err() {
            // The kernel may have taken the reserved range away before it failed.
            self.clear(offset, len)?;
        }
        Ok(mapped.map(drop)?)
    }

    /// Makes this range a hole.
    pub(super) fn clear(&self, offset: u64, len: u64) -> io::Result<()> {
        assert!(offset + len <= self.size(), "beyond the window");
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        let (at, len) = (self.address(offset).cast(), len as usize);
        // SAFETY: the place is in the reserved range, whose memory no reference points to.
        unsafe { rustix::mm::mmap_anonymous(at, len, ProtFlags::empty(), flags)? };
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the range is owned, and nothing can reach it any more.
        // It can't fail for a range that was mapped.
        let _ = unsafe { rustix::mm::munmap(self.base, self.size) };
    }
}

impl Prepared {
    pub(super) fn new(file: &File, from: u64, len: u64, writable: bool) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let access = access(writable);
        // SAFETY: a new mapping at an address that the kernel chooses.
        let at = unsafe {
            rustix::mm::mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, from)?
        };
        Ok(Self { at, len })
    }
}

fn access(writable: bool) -> ProtFlags {
    if writable {
        ProtFlags::READ | ProtFlags::WRITE
    } else {
        ProtFlags::READ
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: the mapping is owned, and nothing refers to it.
        // It can't fail for a range that was mapped.
        let _ = unsafe { rustix::mm::munmap(self.at, self.len) };
    }
}
