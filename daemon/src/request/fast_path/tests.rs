// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The fast path answers as virtiofsd's server does, byte for byte.

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use shared_window::DirectViews;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use virtiofsd::filesystem::{FileSystem, FsOptions};
use virtiofsd::passthrough::PassthroughFs;
use virtiofsd::server::Server;
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::{FastPath, serve};
use crate::adapter::{ChainBuffers, with_reader_and_writer};
use crate::fs::DaxFs;
use crate::testing::fuse::{self, Operation};
use crate::testing::{AVAIL, Driver, MEMORY_SIZE, QUEUE_SIZE, Share, TABLE};

type TestFs = DaxFs<PassthroughFs, DirectViews>;

const CONTENT: &[u8] = b"what is in the file, long enough for a read in pieces";
/// Room for the reply to a message without data.
const ROOM: u32 = 256;
const WRITE: u16 = 2;
/// Where the two regions of the driver's memory meet.
const SEAM: u64 = MEMORY_SIZE / 2;

/// One file system, called directly and through virtiofsd's server.
struct Case {
    share: Share,
    fs: TestFs,
    server: Server<TestFs>,
    node: u64,
    handle: u64,
}

/// The length that was reported for a reply, and its bytes.
type Answer = (u32, Vec<u8>);

/// The server's answer to a message whose size is not that of its buffers: it moves all of them,
/// finds that this was too much, and fails. Linux sends no such message.
const SERVER_CONFUSED: i32 = libc::EIO;

impl Case {
    fn new() -> Self {
        let share = Share::new();
        share.put("file", CONTENT, 0o644);
        let fs = DaxFs::new(Arc::clone(&share.fs), None);
        fs.init(FsOptions::empty()).expect("INIT");
        let server = Server::new(fs.clone());
        let mut case = Self {
            share,
            fs,
            server,
            node: 0,
            handle: 0,
        };
        case.node = fuse::entry(&case.here(&fuse::lookup("file"), ROOM).expect("a lookup").1).0;
        let open = fuse::request(
            Operation::Open,
            case.node,
            &[libc::O_RDWR as u8, 0, 0, 0, 0, 0, 0, 0],
        );
        let (_, reply) = case.here(&open, ROOM).expect("an open");
        case.handle = u64::from_ne_bytes(reply[16..24].try_into().expect("8 bytes"));
        case
    }

    fn here(&self, message: &[u8], room: u32) -> Option<Answer> {
        let mut driver = Driver::new();
        let (_, at) = driver.offer(message, room);
        let len = self.serve(&pop(&driver))?;
        Some((len, driver.read(at, len)))
    }

    fn serve(&self, request: &ChainBuffers) -> Option<u32> {
        let header = request.read_object(0).ok()?;
        match serve(&self.fs, &header, request, None) {
            FastPath::Replied(len) => Some(len.expect("guest memory")),
            FastPath::NotHere => None,
            FastPath::WouldWait => panic!("it may wait"),
        }
    }

    fn by_server(&self, message: &[u8], room: u32) -> Option<Answer> {
        let mut driver = Driver::new();
        let (_, at) = driver.offer(message, room);
        let len = self.serve_by_server(&pop(&driver))?;
        Some((len, driver.read(at, len)))
    }

    fn serve_by_server(&self, request: &ChainBuffers) -> Option<u32> {
        let served = with_reader_and_writer(request, |reader, writer| {
            self.server.handle_message(reader, writer, None::<&mut ()>)
        });
        Some(served.expect("opened").ok()? as u32)
    }

    /// Answers by both ways, which have to agree.
    fn both(&self, message: &[u8], room: u32) -> Answer {
        let here = self.here(message, room).expect("answered here");
        let there = self
            .by_server(message, room)
            .expect("answered by the server");
        assert_eq!(here, there);
        here
    }

    fn read(&self, offset: u64, size: u32) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.handle.to_ne_bytes());
        body.extend(offset.to_ne_bytes());
        body.extend(size.to_ne_bytes());
        body.extend([0; 20]);
        fuse::request(Operation::Read, self.node, &body)
    }

    fn write(&self, offset: u64, size: u32, data: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.handle.to_ne_bytes());
        body.extend(offset.to_ne_bytes());
        body.extend(size.to_ne_bytes());
        body.extend([0; 20]);
        body.extend(data);
        fuse::request(Operation::Write, self.node, &body)
    }

    fn content(&self) -> Vec<u8> {
        fs::read(self.share.path("file")).expect("the file")
    }
}

/// The request on the driver's ring.
fn pop(driver: &Driver) -> ChainBuffers {
    let memory = driver.memory.memory().into_inner();
    let mut queue = Queue::new(QUEUE_SIZE).expect("a queue");
    queue
        .try_set_desc_table_address(GuestAddress(TABLE))
        .expect("table");
    queue
        .try_set_avail_ring_address(GuestAddress(AVAIL))
        .expect("avail");
    queue.set_ready(true);
    let chain = queue
        .iter(Arc::clone(&memory))
        .expect("an index")
        .next()
        .expect("a chain");
    ChainBuffers::read(chain, memory).expect("a request")
}

fn getattr(node: u64) -> Vec<u8> {
    fuse::request(Operation::Getattr, node, &[0; 16])
}

#[test]
fn names_and_attributes() {
    let case = Case::new();
    let (len, reply) = case.both(&fuse::lookup("file"), ROOM);
    assert_eq!((len, fuse::errno(&reply)), (144, 0));
    assert_eq!(fuse::entry(&reply).0, case.node);
    let (len, reply) = case.both(&fuse::lookup("nothing"), ROOM);
    assert_eq!((len, fuse::errno(&reply)), (16, libc::ENOENT));
    let (len, reply) = case.both(&getattr(case.node), ROOM);
    assert_eq!((len, fuse::errno(&reply)), (120, 0));
    let (_, reply) = case.both(&getattr(999), ROOM);
    assert_eq!(fuse::errno(&reply), libc::EBADF);
}

#[test]
fn reads_end_where_the_file_or_the_room_does() {
    let case = Case::new();
    for (offset, size, room, expected) in [
        (0, 4096, 16 + 4096, CONTENT),
        (5, 7, 16 + 7, &CONTENT[5..12]),
        (0, 4096, 16 + 9, &CONTENT[..9]),
        (0, 0, 16, &[]),
        (0, 4096, 16, &[]),
        (4096, 16, 16 + 16, &[]),
    ] {
        let (len, reply) = case.both(&case.read(offset, size), room);
        assert_eq!(len as usize, 16 + expected.len());
        assert_eq!(&reply[16..len as usize], expected);
    }
}

#[test]
fn no_more_is_moved_than_was_asked_for() {
    let case = Case::new();
    let confused = |message: &[u8]| {
        let (_, reply) = case.by_server(message, 4096).expect("a reply");
        assert_eq!(fuse::errno(&reply), SERVER_CONFUSED);
    };
    let read = case.read(5, 7);
    let (_, reply) = case.here(&read, 4096).expect("answered here");
    assert_eq!(&reply[16..], &CONTENT[5..12]);
    confused(&read);
    let write = case.write(5, 4, b"WORDmore");
    let (len, reply) = case.here(&write, ROOM).expect("answered here");
    assert_eq!((len, &reply[16..20]), (24, &4_u32.to_ne_bytes()[..]));
    assert_eq!(case.content()[..14], *b"what WORDn the");
    confused(&write);
}

#[test]
fn an_offset_beyond_what_files_have_is_an_error() {
    let case = Case::new();
    for message in [case.read(1 << 63, 1), case.write(u64::MAX, 1, b"x")] {
        let (_, reply) = case.here(&message, ROOM).expect("answered here");
        assert_eq!(fuse::errno(&reply), libc::EINVAL);
    }
}

#[test]
fn writes_take_what_the_guest_sent() {
    let case = Case::new();
    let (len, reply) = case.both(&case.write(5, 4, b"WORD"), ROOM);
    assert_eq!((len, &reply[16..20]), (24, &4_u32.to_ne_bytes()[..]));
    assert_eq!(case.content()[..12], *b"what WORDn t");
    // The message claims more than it carries.
    let (_, reply) = case.both(&case.write(0, 4096, b"WHAT"), ROOM);
    assert_eq!(&reply[16..20], &4_u32.to_ne_bytes());
    assert_eq!(case.content()[..12], *b"WHAT WORDn t");
    assert_eq!(case.content().len(), CONTENT.len());
    let read_only = fuse::request(Operation::Open, case.node, &[0; 8]);
    let (_, reply) = case.here(&read_only, ROOM).expect("an open");
    let mut refused = case.write(0, 1, b"x");
    refused[40..48].copy_from_slice(&reply[16..24]);
    let (_, reply) = case.both(&refused, ROOM);
    assert_eq!(fuse::errno(&reply), libc::EBADF);
}

#[test]
fn a_released_handle_is_gone() {
    let case = Case::new();
    let mut body = case.handle.to_ne_bytes().to_vec();
    body.extend([0; 16]);
    let release = fuse::request(Operation::Release, case.node, &body);
    let (len, reply) = case.here(&release, ROOM).expect("a release");
    assert_eq!((len, fuse::errno(&reply)), (16, 0));
    let (_, reply) = case.both(&release, ROOM);
    assert_eq!(fuse::errno(&reply), libc::EBADF);
    let (_, reply) = case.both(&case.read(0, 8), ROOM);
    assert_eq!(fuse::errno(&reply), libc::EBADF);
}

#[test]
fn what_is_out_of_the_ordinary_is_the_server_s() {
    let case = Case::new();
    let mut too_long = case.read(0, 8);
    too_long[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    let mut no_nul = fuse::lookup("file");
    *no_nul.last_mut().expect("a NUL") = b'x';
    let mut short = fuse::lookup("file");
    short[..4].copy_from_slice(&39_u32.to_ne_bytes());
    for (what, message, room) in [
        ("no room for an entry", fuse::lookup("file"), 143),
        ("no room for attributes", getattr(case.node), 119),
        ("no room for a header", case.read(0, 8), 15),
        (
            "a message cut short",
            getattr(case.node)[..55].to_vec(),
            ROOM,
        ),
        ("a length that no message has", too_long, ROOM),
        ("a length below the header's", short, ROOM),
        ("a name without its end", no_nul, ROOM),
        (
            "a name longer than any",
            fuse::lookup(&"n".repeat(1025)),
            ROOM,
        ),
        ("another operation", fuse::init(0), ROOM),
    ] {
        assert_eq!(case.here(&message, room), None, "{what}");
    }
}

#[test]
fn data_in_many_pieces_and_two_regions() {
    let case = Case::new();
    let mut driver = Driver::new();
    let message = case.read(0, 4096);
    let memory = driver.memory.memory();
    let written = memory.write_slice(&message, GuestAddress(0x9000));
    written.expect("guest memory");
    drop(memory);
    driver.offer_pieces(&[
        (0x9000, message.len() as u32, 0),
        (0xa000, 10, WRITE),
        (0xb000, 13, WRITE),
        (SEAM - 3, 100, WRITE),
    ]);
    let len = case.serve(&pop(&driver)).expect("answered here");
    assert_eq!(len as usize, 16 + CONTENT.len());
    let mut seen = driver.read(GuestAddress(0xb000 + 6), 7);
    seen.extend(driver.read(GuestAddress(SEAM - 3), CONTENT.len() as u32 - 7));
    assert_eq!(seen, CONTENT);
}

/// Any message of the fast path's operations, most of them nearly valid.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let operation = prop::sample::select(vec![1_u32, 3, 15, 16]);
    let field = prop_oneof![0..4_u64, Just(CONTENT.len() as u64), any::<u64>()];
    let body = prop::collection::vec(field, 0..8);
    (operation, 0..4_u64, body, any::<bool>()).prop_map(|(operation, node, body, name)| {
        let mut bytes: Vec<u8> = body.into_iter().flat_map(u64::to_ne_bytes).collect();
        if name {
            bytes = b"file\0".to_vec();
        }
        let mut message = fuse::request(Operation::Lookup, node, &bytes);
        message[4..8].copy_from_slice(&operation.to_ne_bytes());
        message
    })
}

proptest! {
    /// The server answers each message of the fast path alike, except offsets that make it panic.
    #[test]
    fn any_message_is_answered_alike(message in any_message(), room in 0..512_u32) {
        thread_local!(static CASE: Case = Case::new());
        CASE.with(|case| {
            let sane = message.get(48..56).is_none_or(|at| at[7] < 0x80);
            prop_assume!(sane);
            if let Some(here) = case.here(&message, room) {
                let there = case.by_server(&message, room).expect("answered by the server");
                prop_assume!(fuse::errno(&there.1) != SERVER_CONFUSED);
                prop_assert_eq!(here, there);
            }
            Ok(())
        })?;
    }
}
