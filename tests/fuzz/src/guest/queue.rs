// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The driver's half of a queue, well-behaved.

use std::cell::RefCell;

use vhost_user_backend::VringT as _;
use virtiofs_daxd::adapter::AtomicMemory;
use virtiofs_daxd::fuzzing::Ring;

use super::memory::{self, Memory};
use super::shape::{Descriptor, Flaw, Frame, INDIRECT, NEXT, Shape, WRITE, pieces, spoil};

/// Bytes of guest memory, in two regions that meet in the middle.
pub(super) const SIZE: usize = 1 << 20;
const MIDDLE: u64 = SIZE as u64 / 2;
const TABLE: u64 = 0x1000;
const AVAIL: u64 = 0x3000;
const USED: u64 = 0x4000;
/// The indirect tables, one for each waiting request.
const TABLES: u64 = 0x8000;
/// The requests and the rooms for replies, one pair for each waiting request.
pub(super) const PAYLOAD: u64 = MIDDLE - 0x4_0000;
const PAYLOAD_OF_ONE: u64 = 0x2_0000;
const QUEUE_SIZE: u16 = 256;
/// The most requests that wait for a kick.
pub const MAX_WAITING: usize = 4;

/// A request on the queue.
#[derive(Debug)]
pub struct Offered {
    /// Its ID in the used ring.
    pub head: u32,
    /// Its bytes.
    pub request: Vec<u8>,
    /// Whether its chain is well-formed.
    pub well_formed: bool,
    room_at: u64,
    room: usize,
}

/// The driver's half of a queue, in memory that belongs to this thread.
pub struct Queue {
    memory: AtomicMemory,
    mapping: Memory,
    avail: u16,
    seen: u16,
    free: u16,
}

thread_local! {
    static QUEUE: RefCell<Option<Queue>> = const { RefCell::new(None) };
}

impl Queue {
    /// Calls `use_it` with this thread's queue.
    ///
    /// # Panics
    /// If there is no memory, or in a nested call.
    pub fn with<T>(use_it: impl FnOnce(&mut Self) -> T) -> T {
        QUEUE.with_borrow_mut(|slot| use_it(slot.get_or_insert_with(Self::new)))
    }

    fn new() -> Self {
        let mapping = Memory::new(SIZE);
        let middle = SIZE / 2;
        let table = mapping.table(&[(0, 0..middle), (MIDDLE, middle..SIZE)]);
        Self {
            memory: AtomicMemory::new(table),
            mapping,
            avail: 0,
            seen: 0,
            free: 0,
        }
    }

    /// The memory that contains the queue.
    pub fn memory(&self) -> &AtomicMemory {
        &self.memory
    }

    /// Starts again, on both sides.
    ///
    /// # Panics
    /// If the ring rejects the addresses.
    pub fn start(&mut self, ring: &Ring) {
        (self.avail, self.seen, self.free) = (0, 0, 0);
        self.put(AVAIL + 2, 0_u16);
        self.put(USED + 2, 0_u16);
        ring.set_queue_size(QUEUE_SIZE);
        ring.set_queue_next_avail(0);
        ring.set_queue_info(TABLE, AVAIL, USED).expect("addresses");
        ring.set_queue_next_used(0);
        ring.set_queue_ready(true);
        ring.set_enabled(true);
    }

    fn put<T: vm_memory::ByteValued>(&self, at: u64, object: T) {
        memory::put(&self.memory, at, object);
    }

    /// See [`Memory::misbehave`].
    pub fn misbehave(&self) {
        self.mapping.misbehave();
    }

    /// Puts a request on the queue.
    pub fn offer(&mut self, frame: &Frame) -> Offered {
        let place = u64::from(self.avail % MAX_WAITING as u16);
        let mut request = frame.bytes.0.clone();
        if frame.shape.corrects_length() && request.len() >= 4 {
            let len = request.len() as u32;
            request[..4].copy_from_slice(&len.to_ne_bytes());
        }
        // The room of the third request crosses the end of the first region.
        let at = PAYLOAD + PAYLOAD_OF_ONE * place;
        let room_at = at + 0x1_0000;
        memory::put_bytes(&self.memory, at, &request);
        let room = usize::from(frame.room);
        memory::put_bytes(&self.memory, room_at, &vec![0xa5; room]);
        let mut chain = pieces(at, request.len(), frame.shape.readable, 0);
        chain.extend(pieces(room_at, room, frame.shape.writable, WRITE));
        let well_formed = spoil(&mut chain, &frame.shape);
        let head = self.write_chain(&chain, &frame.shape, place);
        let slot = AVAIL + 4 + 2 * u64::from(self.avail % QUEUE_SIZE);
        self.put(slot, head);
        self.avail = self.avail.wrapping_add(1);
        self.put(AVAIL + 2, self.avail);
        Offered {
            head: head.into(),
            request,
            well_formed,
            room_at,
            room,
        }
    }

    /// Writes the descriptors. Returns the index of the first one in the queue's table.
    fn write_chain(&mut self, chain: &[Descriptor], shape: &Shape, place: u64) -> u16 {
        let len = chain.len() as u16;
        if !shape.is_indirect() {
            let head = self.take(len.max(1));
            self.write_table(TABLE, head, chain, shape);
            return head;
        }
        let at = TABLES + 0x1000 * place;
        self.write_table(at, 0, chain, shape);
        let head = self.take(1);
        self.write_descriptor(TABLE, head, at, 16 * u32::from(len), INDIRECT, 0);
        head
    }

    fn write_table(&self, table: u64, first: u16, chain: &[Descriptor], shape: &Shape) {
        if chain.is_empty() {
            self.write_descriptor(table, first, 0, 0, 0, 0);
        }
        for (index, descriptor) in chain.iter().enumerate() {
            let this = first + index as u16;
            let last = index + 1 == chain.len();
            let (flags, next) = match (last, shape.flaw()) {
                (false, _) => (NEXT, this + 1),
                (true, Some(Flaw::Loop)) => (NEXT, first),
                (true, Some(Flaw::NextOutside)) => (NEXT, u16::MAX),
                (true, _) => (0, 0),
            };
            let flags = descriptor.flags | flags;
            self.write_descriptor(table, this, descriptor.addr, descriptor.len, flags, next);
        }
    }

    fn write_descriptor(&self, table: u64, index: u16, addr: u64, len: u32, flags: u16, next: u16) {
        let at = table + 16 * u64::from(index);
        self.put(at, addr);
        self.put(at + 8, len);
        self.put(at + 12, flags);
        self.put(at + 14, next);
    }

    /// Takes `count` adjacent free descriptors.
    fn take(&mut self, count: u16) -> u16 {
        if self.free + count > QUEUE_SIZE {
            self.free = 0;
        }
        let first = self.free;
        self.free += count;
        first
    }

    /// The entries of the used ring since the last call: head and length.
    pub fn returned(&mut self) -> Vec<(u32, u32)> {
        let word = |at, len| memory::get_bytes(&self.memory, at, len);
        let index = word(USED + 2, 2);
        let index = u16::from_le_bytes([index[0], index[1]]);
        let mut returned = Vec::new();
        // A broken device might claim any index.
        while self.seen != index && returned.len() <= usize::from(QUEUE_SIZE) {
            let element = word(USED + 4 + 8 * u64::from(self.seen % QUEUE_SIZE), 8);
            let number =
                |at: usize| u32::from_le_bytes(element[at..at + 4].try_into().expect("4 bytes"));
            returned.push((number(0), number(4)));
            self.seen = self.seen.wrapping_add(1);
        }
        returned
    }

    /// The room for a reply.
    pub fn room(&self, offered: &Offered) -> Vec<u8> {
        memory::get_bytes(&self.memory, offered.room_at, offered.room)
    }
}
