// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE messages as a guest sends them. Layouts are those of `linux/fuse.h`, minor version 38.

/// The operations that tests send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Lookup = 1,
    Forget = 2,
    Getattr = 3,
    Open = 14,
    Read = 15,
    Write = 16,
    Release = 18,
    Init = 26,
    Destroy = 38,
    SetupMapping = 48,
    RemoveMapping = 49,
}

/// `FUSE_ROOT_ID`.
pub(crate) const ROOT: u64 = 1;
/// Bytes of a reply's header.
pub(crate) const OUT_HEADER: u32 = 16;
/// `FUSE_MAP_ALIGNMENT`.
pub(crate) const MAP_ALIGNMENT: u32 = 1 << 26;

const INIT_EXT: u32 = 1 << 30;
const BIG_WRITES: u32 = 1 << 5;
const MAX_PAGES: u32 = 1 << 22;
/// `FUSE_HAS_INODE_DAX`, in the upper half of the flags.
const HAS_INODE_DAX: u32 = 1 << (33 - 32);

/// A request with its header.
pub(crate) fn request(operation: Operation, node: u64, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    message.extend((40 + body.len() as u32).to_ne_bytes());
    message.extend((operation as u32).to_ne_bytes());
    message.extend(7_u64.to_ne_bytes());
    message.extend(node.to_ne_bytes());
    message.extend([0; 16]);
    message.extend(body);
    message
}

/// INIT from a kernel that offers all that matters for DAX, and `flags`.
pub(crate) fn init(flags: u32) -> Vec<u8> {
    init_with(flags, HAS_INODE_DAX)
}

/// INIT from a kernel that will not heed `FUSE_ATTR_DAX`, as for `mount -o dax=never`.
pub(crate) fn init_without_inode_dax() -> Vec<u8> {
    init_with(0, 0)
}

fn init_with(flags: u32, upper_flags: u32) -> Vec<u8> {
    let flags = flags | INIT_EXT | BIG_WRITES | MAX_PAGES;
    let mut body = Vec::new();
    for field in [7, 38, 1 << 17, flags, upper_flags] {
        body.extend(u32::to_ne_bytes(field));
    }
    body.extend([0; 44]);
    request(Operation::Init, 0, &body)
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

/// The body of a SETUPMAPPING of one range, as Linux sends it.
pub(crate) fn setup_mapping(node: u64, file: u64, len: u64, window: u64) -> Vec<u8> {
    let body: Vec<u8> = [u64::MAX, file, len, 1, window]
        .into_iter()
        .flat_map(u64::to_ne_bytes)
        .collect();
    request(Operation::SetupMapping, node, &body)
}

/// A REMOVEMAPPING that claims `count` ranges and carries `ranges`.
pub(crate) fn remove_mapping(count: u32, ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut body = count.to_ne_bytes().to_vec();
    for (window, len) in ranges {
        body.extend(window.to_ne_bytes());
        body.extend(len.to_ne_bytes());
    }
    request(Operation::RemoveMapping, 0, &body)
}

/// LOOKUP of `name` in the root.
pub(crate) fn lookup(name: &str) -> Vec<u8> {
    let mut name = name.as_bytes().to_vec();
    name.push(0);
    request(Operation::Lookup, ROOT, &name)
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
