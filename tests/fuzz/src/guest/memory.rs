// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Guest memory between two guard areas: an access to a guard area ends the process.

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

/// Bytes that are no memory: before, between and after.
const GUARD: usize = 1 << 16;

/// Memory that is mapped once. All tables of regions refer to this mapping.
pub struct Memory {
    base: *mut u8,
    size: usize,
}

impl Memory {
    /// Maps `size` bytes, a multiple of the page size.
    ///
    /// # Panics
    /// If the mapping fails.
    pub fn new(size: usize) -> Self {
        let whole = size + 2 * GUARD;
        // SAFETY: a new mapping at an address that the kernel chooses replaces nothing.
        let reserved = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                whole,
                ProtFlags::empty(),
                MapFlags::PRIVATE,
            )
        };
        let base = reserved.expect("memory").cast::<u8>().wrapping_add(GUARD);
        // SAFETY: the bytes are in the middle of the new mapping, to which nothing else refers yet.
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

    /// A table of regions: for each, a guest address and the part of the memory.
    ///
    /// # Panics
    /// If regions overlap, or a part is outside of the memory.
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
            // SAFETY: the part is memory of this process, and is never unmapped.
            let builder = unsafe { builder.with_raw_mmap_pointer(self.base.add(part.start)) };
            let region = builder.build().expect("a region");
            Arc::new(GuestRegionMmap::new(region, GuestAddress(*at)).expect("an address"))
        });
        GuestMemoryMmap::from_arc_regions(regions.collect()).expect("regions that don't overlap")
    }

    /// Reads out of bounds, as a broken device would.
    pub fn misbehave(&self) {
        if fault::strikes(Fault::BesideMemory) {
            // SAFETY: unsound on purpose. The guard area permits no access, so this ends the
            // process.
            unsafe { self.base.add(self.size).read_volatile() };
        }
    }

    /// Fills the memory with zeros.
    pub fn clear(&self) {
        // SAFETY: the bytes belong to this value, and no request is in flight.
        unsafe { ptr::write_bytes(self.base, 0, self.size) };
    }
}

/// The places of a queue's descriptor table, available ring and used ring.
pub const TABLE: u64 = 0x1000;
pub const AVAIL: u64 = 0x3000;
pub const USED: u64 = 0x4000;

/// Guest memory with a queue in it. What is written is not checked.
pub struct QueueMemory {
    pub memory: AtomicMemory,
    pub mapping: Memory,
    /// The available index.
    pub avail: u16,
    size: u16,
}

impl QueueMemory {
    /// Memory of one region of `bytes`, for a queue of `size` descriptors.
    pub fn new(bytes: usize, size: u16) -> Self {
        let mapping = Memory::new(bytes);
        Self {
            memory: AtomicMemory::new(mapping.table(&[(0, 0..bytes)])),
            mapping,
            avail: 0,
            size,
        }
    }

    /// Replaces the table of regions.
    pub fn set_table(&self, table: TransportMemory) {
        let lock = self.memory.lock();
        lock.expect("no thread panicked with it").replace(table);
    }

    /// Writes an object. A guest can't write to an address without memory, so nothing happens there.
    pub fn put<T: ByteValued>(&self, at: u64, object: T) {
        let _ = self.memory.memory().write_obj(object, GuestAddress(at));
    }

    /// Writes bytes, up to the end of the memory.
    pub fn put_bytes(&self, at: u64, bytes: &[u8]) {
        let _ = self.memory.memory().write_slice(bytes, GuestAddress(at));
    }

    /// Reads bytes from where there is memory.
    pub fn get_bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let read = self
            .memory
            .memory()
            .read_slice(&mut bytes, GuestAddress(at));
        read.expect("guest memory");
        bytes
    }

    /// Writes a descriptor of the queue's table or of an indirect one.
    pub fn describe(&self, table: u64, index: u16, addr: u64, len: u32, [flags, next]: [u16; 2]) {
        let at = table + 16 * u64::from(index);
        self.put(at, addr);
        self.put(at + 8, len);
        self.put(at + 12, flags);
        self.put(at + 14, next);
    }

    /// Adds a head to the available ring.
    pub fn make_available(&mut self, head: u16) {
        self.put(AVAIL + 4 + 2 * u64::from(self.avail % self.size), head);
        self.avail = self.avail.wrapping_add(1);
        self.put(AVAIL + 2, self.avail);
    }
}
