// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window's address space.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ptr;

use rustix::mm::{MapFlags, MremapFlags, ProtFlags};

/// A reserved range of address space, so that nothing else is mapped into it.
#[derive(Debug)]
pub(super) struct Reservation {
    base: *mut c_void,
    size: usize,
}

// SAFETY: the address is a number. All access goes through system calls, or through slices whose
// users guarantee the mapping.
unsafe impl Send for Reservation {}
// SAFETY: as above.
unsafe impl Sync for Reservation {}

/// A mapping that the guest does not see yet.
#[derive(Debug)]
pub(super) struct Prepared {
    at: *mut c_void,
    len: usize,
}

// SAFETY: only the address in this structure refers to the mapping.
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

    /// The address of an offset, which is checked to be within the range.
    pub(super) fn address(&self, offset: u64) -> *mut u8 {
        assert!(offset <= self.size(), "{offset:#x} is not in the window");
        self.base.cast::<u8>().wrapping_add(offset as usize)
    }

    /// Moves a mapping to `offset` in one step. It replaces the present mapping there.
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

    /// Maps a file at `offset`, which must be a hole. After a failure it is a hole again.
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
            // The kernel may have unmapped the reserved range before it failed.
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
        // The call can't fail for a mapped range.
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
        // The call can't fail for a mapped range.
        let _ = unsafe { rustix::mm::munmap(self.at, self.len) };
    }
}
