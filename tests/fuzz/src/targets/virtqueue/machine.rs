// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A guest's memory and queue, without any checks of its own.

use std::cell::RefCell;

use vhost_user_backend::VringT as _;
use virtio_queue::QueueT as _;
use virtiofs_daxd::adapter::AtomicMemory;

use super::{Device, Operation, Place};
use crate::fault::{self, Fault};
use crate::guest::memory::{AVAIL, QueueMemory, TABLE, USED};

/// Bytes of guest memory.
const SIZE: usize = 0x2_0000;
const MIDDLE: u64 = 0x1_0000;
const INDIRECT: u64 = 0x5000;
const REQUEST: u64 = 0x8000;
const REPLY: u64 = 0xc000;
/// The address of a part of memory that is not at its usual place.
const FAR: u64 = 0x1_0000_0000;
const QUEUE_SIZE: u16 = 16;

/// The places that addresses refer to.
const PLACES: [u64; 16] = [
    REQUEST,
    REPLY,
    TABLE,
    AVAIL,
    USED,
    INDIRECT,
    MIDDLE,
    SIZE as u64,
    0,
    u64::MAX,
    FAR,
    FAR + MIDDLE,
    1 << 31,
    1 << 63,
    REQUEST + 0x1000,
    REPLY + 0x1000,
];

impl Place {
    fn address(&self) -> u64 {
        PLACES[usize::from(self.near) % PLACES.len()].wrapping_add_signed(self.offset.into())
    }
}

/// The device's counters.
#[derive(Debug, Clone, Copy)]
struct Counts {
    taken: u64,
    lost: u64,
    abandoned: u64,
    used: u16,
}

impl Counts {
    fn of(device: &Device) -> Self {
        let metrics = device.metrics();
        Self {
            taken: metrics.requests[0].get(),
            lost: metrics.lost_replies.get(),
            abandoned: metrics.abandoned.get(),
            used: device.ring().get_ref().get_queue().next_used(),
        }
    }
}

/// See the module's documentation.
pub(super) struct Machine {
    memory: QueueMemory,
    base: u16,
}

thread_local! {
    static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
}

impl Machine {
    pub(super) fn with<T>(use_it: impl FnOnce(&mut Self) -> T) -> T {
        MACHINE.with_borrow_mut(|slot| use_it(slot.get_or_insert_with(Self::new)))
    }

    fn new() -> Self {
        Self {
            memory: QueueMemory::new(SIZE, QUEUE_SIZE),
            base: 0,
        }
    }

    pub(super) fn memory(&self) -> &AtomicMemory {
        &self.memory.memory
    }

    /// Clears the state of the previous input.
    pub(super) fn start_anew(&mut self) {
        self.memory.mapping.clear();
        self.set_regions(0);
        (self.memory.avail, self.base) = (0, 0);
    }

    /// Starts the queue as a correct driver does.
    pub(super) fn attach(&self, device: &Device) {
        self.start(device, QUEUE_SIZE, [TABLE, AVAIL, USED], 0);
    }

    pub(super) fn perform(&mut self, device: &Device, operation: &Operation) {
        match operation {
            Operation::Kick {} => self.kick(device),
            Operation::Describe {
                index,
                at,
                len,
                flags,
                next,
            } => {
                self.describe(TABLE, *index, at, *len, *flags, *next);
            }
            Operation::DescribeIndirect {
                index,
                at,
                len,
                flags,
                next,
            } => {
                self.describe(INDIRECT, *index, at, *len, *flags, *next);
            }
            Operation::Lengthen { index, len } => {
                self.memory.put(TABLE + 16 * u64::from(*index) + 8, *len);
            }
            Operation::Offer { head } => self.memory.make_available((*head).into()),
            Operation::OfferAny { head } => self.memory.make_available(*head),
            Operation::Available { index } => {
                self.memory.avail = *index;
                self.memory.put(AVAIL + 2, *index);
            }
            Operation::AvailableFlags { flags } => self.memory.put(AVAIL, *flags),
            Operation::UsedEvent { index } => {
                self.memory
                    .put(AVAIL + 4 + 2 * u64::from(QUEUE_SIZE), *index);
            }
            Operation::Poke { at, bytes } => {
                self.memory.put_bytes(at.address(), &bytes.0);
            }
            Operation::Memory { kind } => self.set_regions(*kind),
            Operation::Logging { enabled } => device.set_logging(enabled & 1 != 0),
            other => self.control(device, other),
        }
    }

    /// Carries out the front end's operation.
    fn control(&mut self, device: &Device, operation: &Operation) {
        let ring = device.ring();
        match operation {
            Operation::Stop {} => {
                ring.set_queue_ready(false);
                self.base = ring.queue_next_avail();
            }
            Operation::Resume {} => {
                ring.set_queue_next_avail(self.base);
                ring.set_queue_ready(true);
            }
            Operation::Start {
                size,
                table,
                avail,
                used,
                base,
            } => {
                let places = [table, avail, used].map(Place::address);
                self.start(device, *size, places, *base);
            }
            Operation::Reset {} => {
                ring.set_enabled(false);
                device.reset_device();
            }
            Operation::Enable { enabled } => ring.set_enabled(enabled & 1 != 0),
            Operation::EventIndex { enabled } => ring.set_queue_event_idx(enabled & 1 != 0),
            _ => unreachable!("{operation:?} is the guest's"),
        }
    }

    /// Does what vhost-user-backend does with the messages that start a queue. Like that crate, it
    /// gives up at the first refusal.
    fn start(&self, device: &Device, size: u16, [table, avail, used]: [u64; 3], base: u16) {
        let ring = device.ring();
        ring.set_queue_ready(false);
        if size == 0 || size > 256 {
            return;
        }
        ring.set_queue_size(size);
        ring.set_queue_next_avail(base);
        if ring.set_queue_info(table, avail, used).is_err() {
            return;
        }
        let Ok(index) = ring.queue_used_idx() else {
            return;
        };
        ring.set_queue_next_used(index);
        ring.set_queue_ready(true);
        ring.set_enabled(true);
    }

    fn describe(&self, table: u64, index: u8, at: &Place, len: u16, flags: u8, next: u8) {
        let flags = [flags, next].map(u16::from);
        let (index, addr) = (index.into(), at.address());
        self.memory.describe(table, index, addr, len.into(), flags);
    }

    fn set_regions(&self, kind: u8) {
        let (mapping, middle) = (&self.memory.mapping, MIDDLE as usize);
        let table = match kind % 6 {
            0 => mapping.table(&[(0, 0..SIZE)]),
            1 => mapping.table(&[(0, 0..middle), (MIDDLE, middle..SIZE)]),
            2 => mapping.table(&[(0, 0..middle), (FAR, middle..SIZE)]),
            3 => mapping.table(&[(MIDDLE, middle..SIZE)]),
            // The same bytes at two addresses.
            4 => mapping.table(&[(0, 0..SIZE), (FAR, 0..SIZE)]),
            _ => virtiofs_daxd::adapter::TransportMemory::new(),
        };
        self.memory.set_table(table);
    }

    fn kick(&self, device: &Device) {
        let before = Counts::of(device);
        device.kick();
        if fault::strikes(Fault::LoseReply) {
            device.metrics().requests[0].count();
        }
        let after = Counts::of(device);
        let taken = after.taken - before.taken;
        let kept = (after.lost - before.lost) + (after.abandoned - before.abandoned);
        let used = u64::from(after.used.wrapping_sub(before.used));
        assert_eq!(
            used,
            (taken - kept) % (1 << 16),
            "of {taken} requests {kept} were lost or abandoned, and {used} returned"
        );
    }
}
