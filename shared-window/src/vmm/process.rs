// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A window in memory of this process, for tests and for drivers that need no virtual machine.
//!
//! The address range stays reserved, without access. A mapping replaces a part of the reservation,
//! an unmap restores it. QEMU's rules hold here too: no map over a live one, no unmap except of
//! exactly a mapped range, no file range that ends behind the file's end. QEMU would grow an empty
//! file; this refuses it.
//!
//! [`ProcessWindow::read`] and [`ProcessWindow::write`] play the guest: they access bytes through
//! the mapping, not through the file. Unlike a guest, which reads zeros from a hole, they fail
//! there. As for a guest, an access behind the end of the *file* kills the process with SIGBUS.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use thiserror::Error;
use vm_memory::{Bytes, VolatileSlice};

use super::{Vmm, VmmError};
use crate::units::{Access, FileOffset, WindowOffset, WindowRange, WindowSize};

/// A window in memory of this process.
#[derive(Debug)]
pub struct ProcessWindow {
    base: NonNull<u8>,
    size: WindowSize,
    /// Held while the reservation is changed and while its bytes are accessed.
    live: Mutex<BTreeMap<WindowOffset, Live>>,
}

#[derive(Debug, Clone, Copy)]
struct Live {
    range: WindowRange,
    access: Access,
}

/// Why [`ProcessWindow`] refused a call.
#[derive(Debug, Error)]
pub enum ProcessWindowError {
    /// The range is empty, or does not lie within the window.
    #[error("the range does not lie within the window")]
    OutOfBounds,
    /// The range overlaps a mapping.
    #[error("{0} is mapped already")]
    Overlap(WindowRange),
    /// The file range ends behind the file's end.
    #[error("the file ends at {file_end:#x}, before the end of the range at {range_end:#x}")]
    BeyondEnd {
        /// The file's size in bytes.
        file_end: u64,
        /// The end of the range, as an offset into the file.
        range_end: u64,
    },
    /// Bytes to read or write are not, or not all, mapped.
    #[error("there is a hole in {0}")]
    Hole(WindowRange),
    /// A write through a mapping for reading.
    #[error("{0} is mapped for reading")]
    ReadOnly(WindowRange),
    /// A system call failed.
    #[error("failed to {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}

// SAFETY: `base` is the address of a reservation that lives as long as the value and belongs to no
// thread. The mutex `live` protects all use of it.
unsafe impl Send for ProcessWindow {}
// SAFETY: as above.
unsafe impl Sync for ProcessWindow {}

impl ProcessWindow {
    /// Reserves `size` bytes of address space.
    ///
    /// # Errors
    /// [`ProcessWindowError::System`] if the kernel gives no such range.
    pub fn new(size: WindowSize) -> Result<Self, ProcessWindowError> {
        let system = |errno| system("reserve the window", errno);
        let len = usize::try_from(size.bytes()).map_err(|_| system(Errno::NOMEM))?;
        // SAFETY: a new range at an address that the kernel chooses replaces nothing.
        let base = unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::empty(), RESERVATION) }
            .map_err(system)?;
        Ok(Self {
            base: NonNull::new(base.cast()).ok_or_else(|| system(Errno::NOMEM))?,
            size,
            live: Mutex::new(BTreeMap::new()),
        })
    }

    /// The mapped ranges, in order, and the access that each allows.
    pub fn mapped(&self) -> Vec<(WindowRange, Access)> {
        self.lock()
            .values()
            .map(|live| (live.range, live.access))
            .collect()
    }

    /// Reads bytes of the window as a guest's loads would.
    ///
    /// # Errors
    /// [`ProcessWindowError::Hole`] when not all of the range lies in one mapping.
    pub fn read(&self, at: WindowOffset, bytes: &mut [u8]) -> Result<(), ProcessWindowError> {
        let live = self.lock();
        let (slice, _) = self.slice(&live, at, bytes.len())?;
        slice
            .read_slice(bytes, 0)
            .map_err(|_| ProcessWindowError::OutOfBounds)
    }

    /// Writes bytes of the window as a guest's stores would.
    ///
    /// # Errors
    /// [`ProcessWindowError::Hole`] when not all of the range lies in one mapping, and
    /// [`ProcessWindowError::ReadOnly`] when that is not writable.
    pub fn write(&self, at: WindowOffset, bytes: &[u8]) -> Result<(), ProcessWindowError> {
        let live = self.lock();
        let (slice, mapping) = self.slice(&live, at, bytes.len())?;
        if mapping.access == Access::ReadOnly {
            return Err(ProcessWindowError::ReadOnly(mapping.range));
        }
        slice
            .write_slice(bytes, 0)
            .map_err(|_| ProcessWindowError::OutOfBounds)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WindowOffset, Live>> {
        // An entry changes only after its system call has succeeded.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn range(&self, at: WindowOffset, len: u64) -> Result<WindowRange, ProcessWindowError> {
        WindowRange::new(at, len)
            .filter(|range| range.end().0 <= self.size.bytes())
            .ok_or(ProcessWindowError::OutOfBounds)
    }

    /// The bytes at `at`, which belong to one mapping. Usable while `live` is held.
    fn slice<'a>(
        &'a self,
        live: &'a MutexGuard<'_, BTreeMap<WindowOffset, Live>>,
        at: WindowOffset,
        len: usize,
    ) -> Result<(VolatileSlice<'a>, Live), ProcessWindowError> {
        let range = self.range(at, len as u64)?;
        let mapping = live
            .range(..=at)
            .next_back()
            .map(|(_, mapping)| *mapping)
            .filter(|mapping| mapping.range.contains(range))
            .ok_or(ProcessWindowError::Hole(range))?;
        // SAFETY: the bytes lie within the reservation, in a mapping that stays while `live` is
        // held, and the slice's lifetime is bound to `live`. No other code has a reference to them.
        // Volatile access allows for other processes that map the same file.
        let slice = unsafe { VolatileSlice::new(self.address(at), len) };
        Ok((slice, mapping))
    }

    /// The address of an offset that lies within the window.
    fn address(&self, at: WindowOffset) -> *mut u8 {
        self.base.as_ptr().wrapping_add(at.0 as usize)
    }
}

/// Reserved memory: no access, and no swap space.
const RESERVATION: MapFlags = MapFlags::PRIVATE.union(MapFlags::NORESERVE);

impl Vmm for ProcessWindow {
    fn map(
        &self,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), VmmError> {
        let mut live = self.lock();
        self.checked_map(&mut live, at, len, view, from, access)
            .map_err(|reason| VmmError::Refused {
                what: "map",
                at,
                len,
                reason: Some(reason),
            })
    }

    fn unmap(&self, at: WindowOffset, len: u64) -> Result<(), VmmError> {
        let mut live = self.lock();
        if live.get(&at).is_none_or(|live| live.range.len() != len) {
            return Err(VmmError::NotMapped { at, len });
        }
        let range = live[&at].range;
        self.reserve_again(range)
            .map_err(|errno| VmmError::Refused {
                what: "unmap",
                at,
                len,
                reason: Some(system("give the range back", errno)),
            })?;
        live.remove(&at);
        Ok(())
    }
}

impl ProcessWindow {
    /// Restores a range of the window to the reservation. To be called with `live` held.
    fn reserve_again(&self, range: WindowRange) -> Result<(), Errno> {
        // SAFETY: the range lies within the reservation, which this value owns. No access to the
        // range is under way: an access holds the lock that the caller holds.
        let reserved = unsafe {
            mmap_anonymous(
                self.address(range.start()).cast(),
                range.len() as usize,
                ProtFlags::empty(),
                RESERVATION | MapFlags::FIXED,
            )
        };
        reserved.map(drop)
    }

    fn checked_map(
        &self,
        live: &mut BTreeMap<WindowOffset, Live>,
        at: WindowOffset,
        len: u64,
        view: BorrowedFd<'_>,
        from: FileOffset,
        access: Access,
    ) -> Result<(), ProcessWindowError> {
        let range = self.range(at, len)?;
        // Mappings don't overlap, so the last one that starts before the range's end reaches
        // furthest.
        let last = live.range(..range.end()).next_back().map(|(_, last)| last);
        if let Some(other) = last.filter(|last| last.range.overlaps(range)) {
            return Err(ProcessWindowError::Overlap(other.range));
        }
        // Not by lseek, as in QEMU: that would move the offset of every process that shares the
        // open file.
        let file_end = rustix::fs::fstat(view)
            .map_err(|errno| system("find the file's end", errno))?
            .st_size as u64;
        let range_end = from
            .0
            .checked_add(len)
            .ok_or(ProcessWindowError::OutOfBounds)?;
        if range_end > file_end {
            return Err(ProcessWindowError::BeyondEnd {
                file_end,
                range_end,
            });
        }
        let protection = match access {
            Access::ReadOnly => ProtFlags::READ,
            Access::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: the range lies within the reservation, which this value owns, and overlaps no
        // mapping in it, so it replaces only reserved memory.
        unsafe {
            mmap(
                self.address(at).cast(),
                len as usize,
                protection,
                MapFlags::SHARED | MapFlags::FIXED,
                view,
                from.0,
            )
        }
        .map_err(|errno| {
            // A failed fixed mmap may have unmapped the memory that it was to replace.
            let _ = self.reserve_again(range);
            system("map the file", errno)
        })?;
        live.insert(at, Live { range, access });
        Ok(())
    }
}

impl Drop for ProcessWindow {
    fn drop(&mut self) {
        // SAFETY: this value owns the reservation, which has this size, and its bytes are only
        // reachable through the value.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.size.bytes() as usize) };
        debug_assert_eq!(unmapped, Ok(()), "a reservation can be unmapped");
    }
}

fn system(what: &'static str, errno: Errno) -> ProcessWindowError {
    ProcessWindowError::System {
        what,
        source: errno.into(),
    }
}

#[cfg(test)]
mod tests;
