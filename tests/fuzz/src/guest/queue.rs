// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The driver's half of a queue, well-behaved.

use std::cell::RefCell;

use vhost_user_backend::VringT as _;
use virtiofs_daxd::adapter::AtomicMemory;
use virtiofs_daxd::fuzzing::Ring;

use super::memory::{AVAIL, QueueMemory, TABLE, USED};
use super::shape::{Descriptor, Flaw, Frame, INDIRECT, NEXT, Shape, WRITE, pieces, spoil};

/// Bytes of guest memory, in two regions that meet in the middle.
pub(super) const SIZE: usize = 1 << 20;
const MIDDLE: u64 = SIZE as u64 / 2;
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
    memory: QueueMemory,
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
        let memory = QueueMemory::new(SIZE, QUEUE_SIZE);
        let (mapping, middle) = (&memory.mapping, SIZE / 2);
        memory.set_table(mapping.table(&[(0, 0..middle), (MIDDLE, middle..SIZE)]));
        Self {
            memory,
            seen: 0,
            free: 0,
        }
    }

    /// The memory that contains the queue.
    pub fn memory(&self) -> &AtomicMemory {
        &self.memory.memory
    }

    /// Starts again, on both sides.
    ///
    /// # Panics
    /// If the ring rejects the addresses.
    pub fn start(&mut self, ring: &Ring) {
        (self.memory.avail, self.seen, self.free) = (0, 0, 0);
        self.memory.put(AVAIL + 2, 0_u16);
        self.memory.put(USED + 2, 0_u16);
        ring.set_queue_size(QUEUE_SIZE);
        ring.set_queue_next_avail(0);
        ring.set_queue_info(TABLE, AVAIL, USED).expect("addresses");
        ring.set_queue_next_used(0);
        ring.set_queue_ready(true);
        ring.set_enabled(true);
    }

    /// See [`Memory::misbehave`].
    pub fn misbehave(&self) {
        self.memory.mapping.misbehave();
    }

    /// Puts a request on the queue.
    pub fn offer(&mut self, frame: &Frame) -> Offered {
        let place = u64::from(self.memory.avail % MAX_WAITING as u16);
        let mut request = frame.bytes.0.clone();
        if frame.shape.corrects_length() && request.len() >= 4 {
            let len = request.len() as u32;
            request[..4].copy_from_slice(&len.to_ne_bytes());
        }
        // The room of the third request crosses the end of the first region.
        let at = PAYLOAD + PAYLOAD_OF_ONE * place;
        let room_at = at + 0x1_0000;
        self.memory.put_bytes(at, &request);
        let room = usize::from(frame.room);
        self.memory.put_bytes(room_at, &vec![0xa5; room]);
        let mut chain = pieces(at, request.len(), frame.shape.readable, 0);
        chain.extend(pieces(room_at, room, frame.shape.writable, WRITE));
        let well_formed = spoil(&mut chain, &frame.shape);
        let head = self.write_chain(&chain, &frame.shape, place);
        self.memory.make_available(head);
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
        let len = 16 * u32::from(len);
        self.memory.describe(TABLE, head, at, len, [INDIRECT, 0]);
        head
    }

    fn write_table(&self, table: u64, first: u16, chain: &[Descriptor], shape: &Shape) {
        if chain.is_empty() {
            self.memory.describe(table, first, 0, 0, [0, 0]);
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
            let (addr, len) = (descriptor.addr, descriptor.len);
            self.memory.describe(table, this, addr, len, [flags, next]);
        }
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
        let word = |at, len| self.memory.get_bytes(at, len);
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
        self.memory.get_bytes(offered.room_at, offered.room)
    }
}
