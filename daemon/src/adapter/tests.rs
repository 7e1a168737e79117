// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests pass through the adapter unchanged, and no content of a ring does harm.

use std::io::{Read, Write};
use std::sync::Arc;

use proptest::prelude::*;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{GuestAddress, GuestAddressSpace};

use super::{ChainBuffers, ChainError, MAX_BUFFERS, TransportMemory, with_reader_and_writer};
use crate::testing::{Descriptor, Driver, MEMORY_SIZE, QUEUE_SIZE};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// Where the two regions of the driver's memory meet.
const SEAM: u64 = MEMORY_SIZE / 2;

/// The request that a transport's queue over the driver's ring pops next.
fn pop(driver: &Driver) -> Result<ChainBuffers, ChainError> {
    let memory = driver.memory.memory().into_inner();
    ChainBuffers::read(chain(&memory), memory)
}

fn chain(memory: &Arc<TransportMemory>) -> DescriptorChain<Arc<TransportMemory>> {
    let mut queue = Queue::new(QUEUE_SIZE).expect("a queue");
    queue
        .try_set_desc_table_address(GuestAddress(0x1000))
        .expect("table");
    queue
        .try_set_avail_ring_address(GuestAddress(0x2000))
        .expect("avail");
    queue.set_ready(true);
    queue
        .iter(Arc::clone(memory))
        .expect("a sane available index")
        .next()
        .expect("a request")
}

fn offered(descriptors: &[Descriptor]) -> Driver {
    let mut driver = Driver::new();
    for (index, descriptor) in descriptors.iter().enumerate() {
        driver.put(index as u16, *descriptor);
    }
    driver.make_available(0);
    driver
}

fn descriptor(addr: u64, len: u32, flags: u16, next: u16) -> Descriptor {
    Descriptor {
        addr,
        len,
        flags,
        next,
    }
}

#[test]
fn bytes_go_both_ways() {
    let mut driver = Driver::new();
    let (_, reply_at) = driver.offer(b"what the guest says", 64);
    let request = pop(&driver).expect("a request");
    assert_eq!((request.readable_len(), request.writable_len()), (19, 64));
    let said = with_reader_and_writer(&request, |mut reader, mut writer| {
        let mut said = Vec::new();
        reader.read_to_end(&mut said).expect("read");
        writer.write_all(b"what it is told").expect("write");
        said
    })
    .expect("opened");
    assert_eq!(said, b"what the guest says");
    assert_eq!(driver.read(reply_at, 15), b"what it is told");

    let mut word = [0; 5];
    request.read_at(9, &mut word).expect("read");
    assert_eq!(&word, b"guest");
    request.write_at(8, b"we").expect("write");
    assert_eq!(driver.read(reply_at, 15), b"what it we told");
    assert!(request.read_at(15, &mut word).is_err(), "beyond the end");
    assert!(
        request.write_at(usize::MAX, b"x").is_err(),
        "offset overflows"
    );
}

#[test]
fn a_descriptor_across_two_regions_is_split() {
    let driver = offered(&[
        descriptor(SEAM - 3, 8, NEXT, 1),
        descriptor(SEAM - 4096, 8192, WRITE, 0),
    ]);
    driver.write(SEAM - 3, *b"abcdefgh");
    let request = pop(&driver).expect("a request");
    assert_eq!((request.readable_len(), request.writable_len()), (8, 8192));
    let said = with_reader_and_writer(&request, |mut reader, mut writer| {
        let mut said = [0; 8];
        reader.read_exact(&mut said).expect("read");
        writer.write_all(&[7; 8192]).expect("write");
        said
    });
    assert_eq!(said.expect("opened"), *b"abcdefgh");
    assert_eq!(driver.read(GuestAddress(SEAM - 4096), 8192), [7; 8192]);
}

#[test]
fn the_ring_is_read_once() {
    let mut driver = Driver::new();
    driver.offer(b"checked", 16);
    let request = pop(&driver).expect("a request");
    // The guest now sets all descriptors to addresses outside its memory.
    for index in 0..QUEUE_SIZE {
        driver.put(index, descriptor(u64::MAX - 5, u32::MAX, NEXT, index));
    }
    let said = with_reader_and_writer(&request, |mut reader, _| {
        let mut said = String::new();
        reader.read_to_string(&mut said).expect("read");
        said
    });
    assert_eq!(said.expect("opened"), "checked");
}

#[test]
fn malformed_chains_are_told_apart() {
    let outside = |addr, len| ChainError::OutsideMemory { addr, len };
    let breaks_off = |read| ChainError::BreaksOff { read };
    let table = [
        (
            "a loop",
            vec![descriptor(0, 8, NEXT, 1), descriptor(0, 8, NEXT, 0)],
            breaks_off(16),
        ),
        (
            "next outside the table",
            vec![descriptor(0, 8, NEXT, 999)],
            breaks_off(1),
        ),
        ("no byte", vec![descriptor(0, 0, 0, 0)], ChainError::Empty),
        (
            "readable after writable",
            vec![descriptor(0, 8, WRITE | NEXT, 1), descriptor(0, 8, 0, 0)],
            ChainError::ReadableAfterWritable { index: 1 },
        ),
        (
            "outside",
            vec![descriptor(MEMORY_SIZE, 8, 0, 0)],
            outside(MEMORY_SIZE, 8),
        ),
        (
            "over the end",
            vec![descriptor(MEMORY_SIZE - 4, 8, 0, 0)],
            outside(MEMORY_SIZE, 4),
        ),
        (
            "wraps",
            vec![descriptor(u64::MAX, 8, 0, 0)],
            outside(u64::MAX, 8),
        ),
        (
            "4 GiB",
            vec![descriptor(0, 8, NEXT, 1), descriptor(0, u32::MAX, 0, 0)],
            breaks_off(1),
        ),
        (
            "indirect outside",
            vec![descriptor(MEMORY_SIZE, 16, INDIRECT, 0)],
            ChainError::Empty,
        ),
        (
            "indirect of odd size",
            vec![descriptor(0x8000, 17, INDIRECT, 0)],
            ChainError::Empty,
        ),
    ];
    for (what, descriptors, expected) in table {
        let error = pop(&offered(&descriptors)).err();
        assert_eq!(error, Some(expected), "{what}");
    }
}

#[test]
fn an_indirect_table_within_another_is_refused() {
    let driver = offered(&[descriptor(0x8000, 32, INDIRECT, 0)]);
    driver.write(0x8000, 0x9000_u64);
    driver.write(0x8008, 16_u32);
    driver.write(0x800c, INDIRECT);
    driver.write(0x800e, 0_u16);
    assert_eq!(pop(&driver).err(), Some(ChainError::Empty));
}

#[test]
fn a_chain_of_the_greatest_length_crosses_over_and_no_longer_one() {
    for (count, accepted) in [(MAX_BUFFERS, true), (MAX_BUFFERS + 1, false)] {
        let driver = offered(&[descriptor(0x1_0000, 16 * count as u32, INDIRECT, 0)]);
        for index in 0..count as u64 {
            let at = 0x1_0000 + 16 * index;
            let last = index + 1 == count as u64;
            driver.write(at, 0x9000_u64);
            driver.write(at + 8, 1_u32);
            driver.write(at + 12, if last { 0 } else { NEXT });
            driver.write(at + 14, if last { 0 } else { index as u16 + 1 });
        }
        let request = pop(&driver);
        assert_eq!(request.is_ok(), accepted, "{count} descriptors");
        if let Ok(request) = request {
            let available = with_reader_and_writer(&request, |reader, _| reader.available_bytes());
            assert_eq!(available.expect("opened"), count);
        }
    }
}

fn any_descriptor() -> impl Strategy<Value = Descriptor> {
    let addr = prop_oneof![0..MEMORY_SIZE, Just(SEAM - 1), any::<u64>()];
    let len = prop_oneof![0..64_u32, Just(4096), any::<u32>()];
    let next = prop_oneof![0..QUEUE_SIZE, any::<u16>()];
    (addr, len, 0..8_u16, next)
        .prop_map(|(addr, len, flags, next)| descriptor(addr, len, flags, next))
}

proptest! {
    /// For any table: `read` returns, and an accepted request can be opened.
    #[test]
    fn any_table_is_accepted_or_refused(
        table in prop::collection::vec(any_descriptor(), QUEUE_SIZE as usize),
    ) {
        if let Ok(request) = pop(&offered(&table)) {
            let (readable, writable) = (request.readable_len(), request.writable_len());
            let opened = with_reader_and_writer(&request, |reader, writer| {
                (reader.available_bytes(), writer.available_bytes())
            });
            prop_assert_eq!(opened.expect("opened"), (readable, writable));
        }
    }
}
