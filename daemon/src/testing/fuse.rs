// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE messages as a guest sends them, and what tests look at in the replies.

use virtiofs_driver::fuse::FsOptions;
pub(crate) use virtiofs_driver::fuse::Opcode as Operation;
use virtiofs_driver::{Body, FileOffset, GuestSpan, InitOptions, NodeId, Request, WindowOffset};

/// `FUSE_ROOT_ID`.
pub(crate) const ROOT: u64 = NodeId::ROOT.0;
/// Bytes of a reply's header.
pub(crate) const OUT_HEADER: u32 = 16;
/// `FUSE_MAP_ALIGNMENT`.
pub(crate) const MAP_ALIGNMENT: u32 = FsOptions::MAP_ALIGNMENT.bits() as u32;

const BIG_WRITES: u32 = FsOptions::BIG_WRITES.bits() as u32;
const MAX_PAGES: u32 = FsOptions::MAX_PAGES.bits() as u32;
/// `FUSE_HAS_INODE_DAX`, in the upper half of the flags.
const HAS_INODE_DAX: u32 = (FsOptions::PERFILE_DAX.bits() >> 32) as u32;

fn bytes(node: u64, body: Body<'_>) -> Vec<u8> {
    Request::new(NodeId(node), body).to_bytes(7)
}

/// A request with its header.
pub(crate) fn request(operation: Operation, node: u64, body: &[u8]) -> Vec<u8> {
    let room = GuestSpan::default();
    bytes(node, Body::raw(operation as u32, body, room))
}

/// INIT from a kernel that offers all that matters for DAX, and `flags`.
pub(crate) fn init(flags: u32) -> Vec<u8> {
    init_with(flags, FsOptions::PERFILE_DAX)
}

/// INIT from a kernel that will not heed `FUSE_ATTR_DAX`, as for `mount -o dax=never`.
pub(crate) fn init_without_inode_dax() -> Vec<u8> {
    init_with(0, FsOptions::empty())
}

fn init_with(flags: u32, more: FsOptions) -> Vec<u8> {
    let known = FsOptions::INIT_EXT | FsOptions::BIG_WRITES | FsOptions::MAX_PAGES;
    let options = InitOptions {
        flags: FsOptions::from_bits_truncate(flags.into()) | known | more,
        ..InitOptions::linux()
    };
    bytes(0, Body::init(&options))
}

/// What a test looks at in the reply to INIT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InitReply {
    pub(crate) big_writes: bool,
    pub(crate) max_pages: Option<u16>,
    pub(crate) map_alignment: Option<u16>,
    pub(crate) inode_dax: bool,
}

impl InitReply {
    pub(crate) fn parse(reply: &[u8]) -> Self {
        assert_eq!(errno(reply), 0, "INIT failed");
        let flags = u32_at(reply, 16 + 12);
        let half_at = |at| u16::from_ne_bytes([reply[at], reply[at + 1]]);
        Self {
            big_writes: flags & BIG_WRITES != 0,
            max_pages: (flags & MAX_PAGES != 0).then(|| half_at(16 + 28)),
            map_alignment: (flags & MAP_ALIGNMENT != 0).then(|| half_at(16 + 30)),
            inode_dax: u32_at(reply, 16 + 32) & HAS_INODE_DAX != 0,
        }
    }
}

/// SETUPMAPPING of one range for writing, as Linux sends it.
pub(crate) fn setup_mapping(node: u64, file: u64, len: u64, window: u64) -> Vec<u8> {
    let (from, at) = (FileOffset(file), WindowOffset(window));
    bytes(node, Body::setup_mapping(from, len, at, true))
}

/// A REMOVEMAPPING that claims `count` ranges and carries `ranges`.
pub(crate) fn remove_mapping(count: u32, ranges: &[(u64, u64)]) -> Vec<u8> {
    let numbers = ranges.iter().flat_map(|(window, len)| [*window, *len]);
    let mut body = count.to_ne_bytes().to_vec();
    body.extend(numbers.flat_map(u64::to_ne_bytes));
    request(Operation::RemoveMapping, 0, &body)
}

/// LOOKUP of `name` in the root.
pub(crate) fn lookup(name: &str) -> Vec<u8> {
    bytes(ROOT, Body::lookup(name))
}

/// The node, and whether its attributes say `FUSE_ATTR_DAX`, of a LOOKUP's reply.
pub(crate) fn entry(reply: &[u8]) -> (u64, bool) {
    assert_eq!(errno(reply), 0, "LOOKUP failed");
    let node = u64::from_ne_bytes(reply[16..24].try_into().expect("8 bytes"));
    // fuse_entry_out is 40 bytes before its attributes, whose flags are the last 4 of 88.
    (node, u32_at(reply, 16 + 40 + 84) & 2 != 0)
}

/// The (positive) error of a reply, 0 for success.
pub(crate) fn errno(reply: &[u8]) -> i32 {
    -(u32_at(reply, 4).cast_signed())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
}
