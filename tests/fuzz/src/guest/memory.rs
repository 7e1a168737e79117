// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest memory between two guards: an access beside it ends the process.

use std::ptr;
use std::sync::Arc;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};
use virtiofs_daxd::adapter::{AtomicMemory, TransportBitmap, TransportMemory};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::mmap::NewBitmap as _;
use vm_memory::{
    ByteValued, Bytes, GuestAddress, GuestAddressSpace as _, GuestMemoryMmap, GuestRegionMmap,
};

use crate::fault::{self, Fault};

/// Bytes that are no memory, before, between and after.
const GUARD: usize = 1 << 16;

/// Memory that is mapped once and for all, whatever tables of regions are made of it.
pub struct Memory {
    base: *mut u8,
    size: usize,
}

impl Memory {
    /// `size` bytes, a multiple of the page size.
    ///
    /// # Panics
    /// When there is no such memory.
    #[must_use]
    pub fn new(size: usize) -> Self {
        let whole = size + 2 * GUARD;
        // SAFETY: a new mapping where the kernel likes replaces nothing.
        let reserved = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                whole,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            )
        };
        let base = reserved.expect("memory").cast::<u8>().wrapping_add(GUARD);
        // SAFETY: the bytes are in the middle of the mapping just made, which nobody else knows.
        unsafe {
            mprotect(
                base.cast(),
                size,
                MprotectFlags::READ | MprotectFlags::WRITE,
            )
        }
        .expect("memory");
        Self { base, size }
    }

    /// A table of regions, each a guest address and the part of the memory that is there.
    ///
    /// # Panics
    /// When the regions overlap, or a part is none.
    #[must_use]
    pub fn table(&self, regions: &[(u64, std::ops::Range<usize>)]) -> TransportMemory {
        let regions = regions.iter().map(|(at, part)| {
            assert!(
                part.start < part.end && part.end <= self.size,
                "a part of the memory"
            );
            let bitmap = TransportBitmap::with_len(part.len());
            let builder = MmapRegionBuilder::new_with_bitmap(part.len(), bitmap)
                .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
                .with_mmap_flags(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
            // SAFETY: the part is memory of this process that is never unmapped.
            let builder = unsafe { builder.with_raw_mmap_pointer(self.base.add(part.start)) };
            let region = builder.build().expect("a region");
            Arc::new(GuestRegionMmap::new(region, GuestAddress(*at)).expect("an address"))
        });
        GuestMemoryMmap::from_arc_regions(regions.collect()).expect("regions that don't overlap")
    }

    /// What a device that is out of bounds would do.
    pub fn misbehave(&self) {
        if fault::strikes(Fault::BesideMemory) {
            // SAFETY: not at all, which is what is asked for: there is no access to the guard, so
            // that the process ends.
            unsafe { self.base.add(self.size).read_volatile() };
        }
    }

    /// All of it as zeros.
    pub fn clear(&self) {
        // SAFETY: the bytes are this value's own, and no request is under way.
        unsafe { ptr::write_bytes(self.base, 0, self.size) };
    }
}

/// Writes an object, if there is memory.
pub fn put<T: ByteValued>(memory: &AtomicMemory, at: u64, object: T) {
    // A guest can't write where it has no memory.
    let _ = memory.memory().write_obj(object, GuestAddress(at));
}

/// Writes bytes, as far as there is memory.
pub fn put_bytes(memory: &AtomicMemory, at: u64, bytes: &[u8]) {
    let _ = memory.memory().write_slice(bytes, GuestAddress(at));
}

/// Reads bytes that are there.
///
/// # Panics
/// When they are not.
#[must_use]
pub fn get_bytes(memory: &AtomicMemory, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let read = memory.memory().read_slice(&mut bytes, GuestAddress(at));
    read.expect("guest memory");
    bytes
}
