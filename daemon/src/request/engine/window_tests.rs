// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests whose buffers lie in the window.

use std::fs;
use std::os::unix::fs::FileExt;

use super::tests::{Case, PAGE, WINDOW_BASE};
use crate::testing::BUFFERS;
use crate::testing::fuse::{self, Operation};

const WRITE: u16 = 2;
/// A file's pages, each of them different.
const PAGES: u64 = 16;

/// A guest with `file` mapped page by page in an order of its own, and `other` open.
struct Guest {
    case: Case,
    handle: u64,
    node: u64,
}

impl Guest {
    fn new() -> Self {
        let mut case = Case::new();
        case.share.put("other", &[7; 8 * PAGE as usize], 0o644);
        let file = fs::File::options()
            .write(true)
            .open(case.share.path("file"))
            .expect("the file");
        file.write_all_at(&content(), 0).expect("content");
        let mapped = case.node();
        for page in 0..PAGES {
            let setup = fuse::setup_mapping(mapped, page * PAGE, PAGE, place(page));
            assert_eq!(case.errno_of(&setup), 0);
        }
        let (node, _) = fuse::entry(&case.ask(&fuse::lookup("other"), 256));
        Self::open(case, node)
    }

    fn open(mut case: Case, node: u64) -> Self {
        let flags = (libc::O_RDWR as u64).to_ne_bytes();
        let opened = case.ask(&fuse::request(Operation::Open, node, &flags), 256);
        assert_eq!(fuse::errno(&opened), 0);
        let handle = u64::from_ne_bytes(opened[16..24].try_into().expect("8 bytes"));
        Self { case, handle, node }
    }

    /// The same guest about to read and write the mapped file itself.
    fn on_the_mapped_file(self) -> Self {
        let mut case = self.case;
        let node = case.node();
        Self::open(case, node)
    }

    /// The message of a READ or WRITE of `size` bytes at `offset`.
    fn message(&self, operation: Operation, offset: u64, size: u32) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend(self.handle.to_ne_bytes());
        body.extend(offset.to_ne_bytes());
        body.extend(size.to_ne_bytes());
        body.extend([0; 20]);
        let mut message = fuse::request(operation, self.node, &body);
        if matches!(operation, Operation::Write) {
            let len = message.len() as u32 + size;
            message[..4].copy_from_slice(&len.to_ne_bytes());
        }
        message
    }

    /// Sends a message whose data are these pieces of guest addresses; the reply's head.
    fn ask(&mut self, operation: Operation, message: &[u8], data: &[(u64, u32)]) -> Vec<u8> {
        let driver = &mut self.case.driver;
        let (request_at, reply_at) = (BUFFERS, BUFFERS + 0x1000);
        for (index, byte) in message.iter().enumerate() {
            driver.write(request_at + index as u64, *byte);
        }
        let (data_flags, reply_len) = match operation {
            Operation::Read => (WRITE, 16),
            _ => (0, 24),
        };
        let request = (request_at, message.len() as u32, 0);
        let reply = (reply_at, reply_len, WRITE);
        let data = data.iter().map(|(addr, len)| (*addr, *len, data_flags));
        let chain: Vec<_> = match operation {
            Operation::Read => [request, reply].into_iter().chain(data).collect(),
            _ => [request].into_iter().chain(data).chain([reply]).collect(),
        };
        driver.offer_pieces(&chain);
        self.case.serve();
        let used = self.case.driver.used();
        assert_eq!(used.len(), 1, "one request, one reply");
        self.case
            .driver
            .read(vm_memory::GuestAddress(reply_at), reply_len.min(used[0].1))
    }

    fn transfer(&mut self, operation: Operation, offset: u64, data: &[(u64, u32)]) -> i32 {
        let size = data.iter().map(|(_, len)| len).sum();
        let message = self.message(operation, offset, size);
        fuse::errno(&self.ask(operation, &message, data))
    }

    fn other(&self) -> Vec<u8> {
        fs::read(self.case.share.path("other")).expect("the other file")
    }

    fn file(&self) -> Vec<u8> {
        fs::read(self.case.share.path("file")).expect("the file")
    }
}

fn content() -> Vec<u8> {
    (0..PAGES * PAGE)
        .map(|at| (at / 7 + at / PAGE) as u8)
        .collect()
}

/// Where in the window a page of the file lies: neighbours in the one are none in the other.
fn place(page: u64) -> u64 {
    (page * 5 % PAGES) * PAGE
}

/// The guest address of a byte of the file.
fn address(at: u64) -> u64 {
    WINDOW_BASE + place(at / PAGE) + at % PAGE
}

/// The pieces of `len` bytes of the file at `from`, in one descriptor for each page.
fn pieces(from: u64, len: u64) -> Vec<(u64, u32)> {
    let mut pieces = Vec::new();
    let (mut at, end) = (from, from + len);
    while at < end {
        let next = end.min((at / PAGE + 1) * PAGE);
        pieces.push((address(at), (next - at) as u32));
        at = next;
    }
    pieces
}

#[test]
fn a_write_from_the_window_writes_the_mapped_file_s_bytes() {
    let mut guest = Guest::new();
    for (from, len, to) in [
        (0, PAGE, 0),
        (PAGE - 3, 2 * PAGE + 9, 5),
        (7 * PAGE, 3, PAGE),
    ] {
        assert_eq!(guest.transfer(Operation::Write, to, &pieces(from, len)), 0);
        let (from, len, to) = (from as usize, len as usize, to as usize);
        assert_eq!(guest.other()[to..to + len], content()[from..from + len]);
    }
    assert_eq!(guest.file(), content(), "only read");
}

#[test]
fn a_descriptor_over_two_mappings_is_of_two_files_places() {
    let mut guest = Guest::new();
    // Neighbours in the window.
    let second = (0..PAGES)
        .find(|page| place(*page) == place(0) + PAGE)
        .expect("a neighbour");
    let both = [(address(0), 2 * PAGE as u32)];
    assert_eq!(guest.transfer(Operation::Write, 0, &both), 0);
    let (page, at) = (PAGE as usize, (second * PAGE) as usize);
    assert_eq!(guest.other()[..page], content()[..page]);
    assert_eq!(guest.other()[page..2 * page], content()[at..at + page]);
}

#[test]
fn a_read_into_the_window_ends_in_the_mapped_file() {
    let mut guest = Guest::new();
    let (from, len) = (2 * PAGE + 100, PAGE + 50);
    assert_eq!(guest.transfer(Operation::Read, 0, &pieces(from, len)), 0);
    let mut expected = content();
    expected[from as usize..(from + len) as usize].fill(7);
    assert_eq!(guest.file(), expected);
    let mut seen = vec![0; PAGE as usize];
    let window = &guest.case.vmm.window;
    window
        .read(shared_window::WindowOffset(place(2)), &mut seen)
        .expect("mapped");
    let page = (2 * PAGE) as usize;
    assert_eq!(
        seen,
        expected[page..page + PAGE as usize],
        "and is seen there"
    );
}

#[test]
fn what_was_not_read_is_not_stored() {
    let mut guest = Guest::new();
    // The other file ends in the middle of what is asked for.
    let at = 8 * PAGE - 10;
    assert_eq!(guest.transfer(Operation::Read, at, &pieces(0, PAGE)), 0);
    let mut expected = content();
    expected[..10].fill(7);
    assert_eq!(guest.file(), expected);
}

#[test]
fn a_file_is_copied_onto_itself() {
    for (from, to, len) in [(0, 4 * PAGE, PAGE), (0, 10, 2 * PAGE), (100, 0, 3 * PAGE)] {
        let mut guest = Guest::new().on_the_mapped_file();
        assert_eq!(guest.transfer(Operation::Write, to, &pieces(from, len)), 0);
        let mut expected = content();
        expected.copy_within(from as usize..(from + len) as usize, to as usize);
        assert_eq!(guest.file(), expected, "written {from} to {to}");

        let mut guest = Guest::new().on_the_mapped_file();
        assert_eq!(guest.transfer(Operation::Read, from, &pieces(to, len)), 0);
        assert_eq!(guest.file(), expected, "read {from} into {to}");
    }
}

#[test]
fn a_file_keeps_its_size_and_its_end_reads_as_zeros() {
    let mut guest = Guest::new();
    let size = 3 * PAGE + 100;
    let file = fs::File::options()
        .write(true)
        .open(guest.case.share.path("file"));
    file.expect("the file").set_len(size).expect("shorter");

    assert_eq!(
        guest.transfer(Operation::Write, 0, &pieces(3 * PAGE, 2 * PAGE)),
        0
    );
    let mut expected = content()[(3 * PAGE) as usize..size as usize].to_vec();
    expected.resize(2 * PAGE as usize, 0);
    assert_eq!(guest.other()[..2 * PAGE as usize], expected);

    assert_eq!(
        guest.transfer(Operation::Read, 4 * PAGE, &pieces(3 * PAGE, 2 * PAGE)),
        0
    );
    let now = guest.file();
    assert_eq!(now.len() as u64, size, "it has not grown");
    assert_eq!(now[(3 * PAGE) as usize..], [7; 100]);
}

#[test]
fn a_range_that_is_gone_is_no_memory() {
    let mut guest = Guest::new();
    let removed = fuse::remove_mapping(1, &[(place(1), PAGE)]);
    assert_eq!(guest.case.errno_of(&removed), 0);
    for (operation, other) in [(Operation::Write, vec![7; 8 * PAGE as usize])]
        .into_iter()
        .chain([(Operation::Read, vec![7; 8 * PAGE as usize])])
    {
        let errno = guest.transfer(operation, 0, &pieces(0, 2 * PAGE));
        assert_eq!(errno, libc::EFAULT, "{operation:?}");
        assert_eq!(guest.other(), other, "{operation:?} did something");
        assert_eq!(guest.file(), content(), "{operation:?} did something");
    }
    assert_eq!(guest.case.metrics.unreachable_buffers.get(), 2);
}

#[test]
fn an_address_that_is_nothing_is_refused_where_it_can_be_answered() {
    let mut guest = Guest::new();
    let nowhere = [(WINDOW_BASE - PAGE, PAGE as u32)];
    assert_eq!(guest.transfer(Operation::Read, 0, &nowhere), libc::EFAULT);
    assert_eq!(guest.transfer(Operation::Write, 0, &nowhere), libc::EFAULT);
    assert_eq!(guest.other(), vec![7; 8 * PAGE as usize]);
    assert_eq!(guest.case.metrics.bad_chains.get(), 0);
}

#[test]
fn headers_may_lie_in_the_window_too() {
    let mut guest = Guest::new();
    let message = guest.message(Operation::Read, 0, 8);
    let file = fs::File::options()
        .write(true)
        .open(guest.case.share.path("file"));
    file.expect("the file")
        .write_all_at(&message, 0)
        .expect("the message");
    guest.case.driver.offer_pieces(&[
        (address(0), message.len() as u32, 0),
        (address(PAGE), 24, WRITE),
    ]);
    guest.case.serve();
    assert_eq!(guest.case.driver.used(), [(0, 24)]);
    let reply = &guest.file()[PAGE as usize..][..24];
    assert_eq!(fuse::errno(reply), 0);
    assert_eq!(reply[16..], [7; 8]);
}
