// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The driver's half of a virtqueue, in memory that a test owns.

use std::fs::File;
use std::sync::Arc;

use vhost_user_backend::VringT;
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestAddressSpace, GuestRegionMmap};

use crate::adapter::{AtomicMemory, TransportMemory};
use crate::ring::Ring;

/// Bytes of guest memory, in two regions that meet in the middle.
pub(crate) const MEMORY_SIZE: u64 = 1 << 20;
/// Descriptors of the queue.
pub(crate) const QUEUE_SIZE: u16 = 16;

pub(crate) const TABLE: u64 = 0x1000;
pub(crate) const AVAIL: u64 = 0x2000;
pub(crate) const USED: u64 = 0x3000;
/// Where requests and replies lie; there is nothing else from here on.
pub(crate) const BUFFERS: u64 = 0x10000;

const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// VRING_USED_F_NO_NOTIFY.
const NO_NOTIFY: u16 = 1;

/// A descriptor as it lies in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) addr: u64,
    pub(crate) len: u32,
    pub(crate) flags: u16,
    pub(crate) next: u16,
}

/// A guest's driver with one queue.
pub(crate) struct Driver {
    pub(crate) memory: AtomicMemory,
    /// What the memory is a mapping of.
    pub(crate) file: Arc<File>,
    avail: u16,
    next_descriptor: u16,
    next_buffer: u64,
    seen: u16,
}

impl Driver {
    pub(crate) fn new() -> Self {
        let half = (MEMORY_SIZE / 2) as usize;
        let file = tempfile::tempfile().expect("a file");
        file.set_len(MEMORY_SIZE).expect("room in the file");
        let file = Arc::new(file);
        let regions = [0, MEMORY_SIZE / 2].map(|start| {
            let place = FileOffset::from_arc(Arc::clone(&file), start);
            let region = GuestRegionMmap::from_range(GuestAddress(start), half, Some(place));
            Arc::new(region.expect("a region"))
        });
        let memory = TransportMemory::from_arc_regions(regions.to_vec()).expect("memory");
        Self {
            memory: AtomicMemory::new(memory),
            file,
            avail: 0,
            next_descriptor: 0,
            next_buffer: BUFFERS,
            seen: 0,
        }
    }

    /// A ring of the device over this queue, running, with indices that start at `base`.
    pub(crate) fn ring_at(&mut self, base: u16) -> Ring {
        let ring = Ring::new(self.memory.clone(), 256).expect("a ring");
        self.avail = base;
        self.seen = base;
        self.write(AVAIL + 2, base);
        self.write(USED + 2, base);
        self.start(&ring, base);
        ring
    }

    /// The front end's messages that start `ring` at `base`.
    pub(crate) fn start(&self, ring: &Ring, base: u16) {
        ring.set_queue_size(QUEUE_SIZE);
        ring.set_queue_next_avail(base);
        ring.set_queue_info(TABLE, AVAIL, USED).expect("addresses");
        ring.set_queue_next_used(ring.queue_used_idx().expect("used index"));
        ring.set_queue_ready(true);
        ring.set_enabled(true);
    }

    /// `GET_VRING_BASE`: stops `ring`, returns its base.
    pub(crate) fn stop(ring: &Ring) -> u16 {
        ring.set_enabled(false);
        ring.set_queue_ready(false);
        ring.queue_next_avail()
    }

    /// Makes the queue as a driver that starts anew would.
    pub(crate) fn reload(&mut self, ring: &Ring) {
        self.write(AVAIL + 2, 0_u16);
        self.write(USED + 2, 0_u16);
        (self.avail, self.seen, self.next_descriptor) = (0, 0, 0);
        self.next_buffer = BUFFERS;
        self.start(ring, 0);
    }

    /// Offers a request of these bytes with room for `room` bytes; returns where the reply goes.
    pub(crate) fn offer(&mut self, request: &[u8], room: u32) -> (u16, GuestAddress) {
        let input = self.buffer(request.len() as u64);
        let output = self.buffer(room.into());
        self.memory
            .memory()
            .write_slice(request, GuestAddress(input))
            .expect("room for the request");
        let head = self.next_descriptor;
        let mut chain = vec![(input, request.len() as u32, 0)];
        if room > 0 {
            chain.push((output, room, WRITE));
        }
        for (index, (addr, len, flags)) in chain.iter().enumerate() {
            let last = index + 1 == chain.len();
            let this = self.take_descriptor();
            let descriptor = Descriptor {
                addr: *addr,
                len: *len,
                flags: if last { *flags } else { flags | NEXT },
                next: if last { 0 } else { self.next_descriptor },
            };
            self.put(this, descriptor);
        }
        self.make_available(head);
        (head, GuestAddress(output))
    }

    /// Writes one descriptor of the table.
    pub(crate) fn put(&self, index: u16, descriptor: Descriptor) {
        let at = TABLE + 16 * u64::from(index);
        self.write(at, descriptor.addr);
        self.write(at + 8, descriptor.len);
        self.write(at + 12, descriptor.flags);
        self.write(at + 14, descriptor.next);
    }

    /// Offers one chain of these pieces, each an address, a length and flags, in the table's first
    /// descriptors.
    pub(crate) fn offer_pieces(&mut self, pieces: &[(u64, u32, u16)]) {
        for (index, (addr, len, flags)) in pieces.iter().enumerate() {
            let more = if index + 1 < pieces.len() { NEXT } else { 0 };
            let descriptor = Descriptor {
                addr: *addr,
                len: *len,
                flags: flags | more,
                next: (index + 1) as u16,
            };
            self.put(index as u16, descriptor);
        }
        self.make_available(0);
    }

    /// Adds a head, whatever it is, to the available ring.
    pub(crate) fn make_available(&mut self, head: u16) {
        self.write(AVAIL + 4 + 2 * u64::from(self.avail % QUEUE_SIZE), head);
        self.avail = self.avail.wrapping_add(1);
        self.write(AVAIL + 2, self.avail);
    }

    /// Sets the available index, whatever lies in the ring.
    pub(crate) fn set_avail(&mut self, index: u16) {
        self.avail = index;
        self.write(AVAIL + 2, index);
    }

    /// How many requests were offered: where a queue would go on.
    pub(crate) fn offered(&self) -> u16 {
        self.avail
    }

    /// Whether anything was returned since the last call of [`Self::used`].
    pub(crate) fn has_used(&self) -> bool {
        self.seen != self.used_index()
    }

    /// Whether the device has not asked for fewer kicks, by the used ring's flags.
    pub(crate) fn wants_kicks(&self) -> bool {
        let memory = self.memory.memory();
        let flags: u16 = memory.read_obj(GuestAddress(USED)).expect("used flags");
        flags & NO_NOTIFY == 0
    }

    fn used_index(&self) -> u16 {
        let memory = self.memory.memory();
        memory.read_obj(GuestAddress(USED + 2)).expect("used index")
    }

    /// What was returned since the last call: head and length.
    pub(crate) fn used(&mut self) -> Vec<(u32, u32)> {
        let memory = self.memory.memory();
        let index = self.used_index();
        let mut returned = Vec::new();
        while self.seen != index {
            let at = USED + 4 + 8 * u64::from(self.seen % QUEUE_SIZE);
            let id = memory.read_obj(GuestAddress(at)).expect("used id");
            let len = memory.read_obj(GuestAddress(at + 4)).expect("used len");
            returned.push((id, len));
            self.seen = self.seen.wrapping_add(1);
        }
        returned
    }

    /// `len` bytes of guest memory.
    pub(crate) fn read(&self, at: GuestAddress, len: u32) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        self.memory
            .memory()
            .read_slice(&mut bytes, at)
            .expect("guest memory");
        bytes
    }

    /// Writes an object anywhere in guest memory.
    pub(crate) fn write<T: vm_memory::ByteValued>(&self, at: u64, value: T) {
        self.memory
            .memory()
            .write_obj(value, GuestAddress(at))
            .expect("guest memory");
    }

    fn take_descriptor(&mut self) -> u16 {
        let index = self.next_descriptor;
        self.next_descriptor = (index + 1) % QUEUE_SIZE;
        index
    }

    /// Buffers are handed out in turn; a test has few in use at a time.
    fn buffer(&mut self, len: u64) -> u64 {
        if self.next_buffer + len > MEMORY_SIZE {
            self.next_buffer = BUFFERS;
        }
        let at = self.next_buffer;
        self.next_buffer = (at + len).next_multiple_of(64);
        at
    }
}
