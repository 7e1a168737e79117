// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The layout of a queue in guest memory.

use vm_memory::{ByteValued, GuestAddress, MmapRegion, VolatileMemory};

use super::{QueueError, QueueOptions};
use crate::memory::{GuestBuffer, Region};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

const DESCRIPTOR: usize = size_of::<Descriptor>();
const PAGE: usize = 4096;

/// A descriptor, as a table holds it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// Guest address of the buffer.
    pub addr: u64,
    /// Length of the buffer in bytes.
    pub len: u32,
    /// VRING_DESC_F_…
    pub flags: u16,
    /// The next descriptor, if the flags say so.
    pub next: u16,
}

// SAFETY: plain numbers without padding; every bit pattern is valid.
unsafe impl ByteValued for Descriptor {}

/// The rings of a queue and its indirect tables, in one buffer of guest memory.
#[derive(Debug)]
pub struct Layout {
    buffer: GuestBuffer,
    size: usize,
    available: usize,
    used: usize,
    tables: usize,
    table_entries: usize,
}

impl Layout {
    /// Allocates zeroed memory for a queue.
    pub(crate) fn new(region: &Arc<Region>, options: QueueOptions) -> Result<Self, QueueError> {
        let size = options.size;
        if !size.is_power_of_two() || size > 32768 {
            return Err(QueueError::Size { size });
        }
        let size = usize::from(size);
        let available = size * DESCRIPTOR;
        let used = (available + 6 + 2 * size).next_multiple_of(PAGE);
        let tables = (used + 6 + 8 * size).next_multiple_of(PAGE);
        let tables_len = if options.indirect {
            size * usize::from(options.table_entries) * DESCRIPTOR
        } else {
            0
        };
        let buffer = region.allocate(tables + tables_len, PAGE)?;
        buffer.fill(0);
        let base = buffer.offset();
        Ok(Self {
            buffer,
            size,
            available: base + available,
            used: base + used,
            tables: base + tables,
            table_entries: options.table_entries.into(),
        })
    }

    /// Resets all rings to their initial state.
    pub(crate) fn clear(&self) {
        self.buffer.fill(0);
    }

    /// The addresses of the descriptor table, the available ring and the used ring in this process.
    pub(crate) fn user_addresses(&self) -> [u64; 3] {
        [self.buffer.offset(), self.available, self.used]
            .map(|at| self.buffer.region().user_address(at))
    }

    /// Number of descriptors.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn put_descriptor(&self, index: u16, descriptor: Descriptor) {
        let at = self.buffer.offset() + self.wrapped(index) * DESCRIPTOR;
        self.put(at, descriptor);
    }

    pub(super) fn put_indirect(&self, table: u16, entry: usize, descriptor: Descriptor) {
        debug_assert!(entry < self.table_entries);
        self.put(self.table_at(table) + entry * DESCRIPTOR, descriptor);
    }

    /// Guest address of the indirect table that belongs to this descriptor.
    pub(super) fn table_address(&self, table: u16) -> GuestAddress {
        GuestAddress(self.buffer.region().base().0 + self.table_at(table) as u64)
    }

    pub(super) fn put_available(&self, index: u16, head: u16) {
        self.put(self.available + 4 + 2 * self.wrapped(index), head);
    }

    pub(super) fn available_flags(&self) -> &AtomicU16 {
        self.atomic(self.available)
    }

    pub(super) fn available_index(&self) -> &AtomicU16 {
        self.atomic(self.available + 2)
    }

    /// The used index at which the driver wants an interrupt.
    pub(super) fn used_event(&self) -> &AtomicU16 {
        self.atomic(self.available + 4 + 2 * self.size)
    }

    pub(super) fn used_flags(&self) -> &AtomicU16 {
        self.atomic(self.used)
    }

    pub(crate) fn used_index(&self) -> u16 {
        self.atomic(self.used + 2).load(Ordering::Acquire)
    }

    /// The available index at which the device wants a kick.
    pub(super) fn available_event(&self) -> &AtomicU16 {
        self.atomic(self.used + 4 + 8 * self.size)
    }

    /// Descriptor and length of an entry in the used ring.
    pub(super) fn used_element(&self, index: u16) -> (u32, u32) {
        let at = self.used + 4 + 8 * self.wrapped(index);
        let [id, len] = self.get::<[u32; 2]>(at);
        (id, len)
    }

    fn table_at(&self, table: u16) -> usize {
        self.tables + self.wrapped(table) * self.table_entries * DESCRIPTOR
    }

    fn wrapped(&self, index: u16) -> usize {
        usize::from(index) & (self.size - 1)
    }

    fn memory(&self) -> &MmapRegion {
        self.buffer.region().memory()
    }

    fn put<T: ByteValued>(&self, at: usize, value: T) {
        let place = self.memory().get_ref::<T>(at);
        place.expect("the rings are in their region").store(value);
    }

    fn get<T: ByteValued>(&self, at: usize) -> T {
        let place = self.memory().get_ref::<T>(at);
        place.expect("the rings are in their region").load()
    }

    fn atomic(&self, at: usize) -> &AtomicU16 {
        let place = self.memory().get_atomic_ref(at);
        place.expect("the rings are in their region, and aligned")
    }
}
