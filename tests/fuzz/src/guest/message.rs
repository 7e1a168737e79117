// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE messages as Linux sends them, for seeds. Layouts are those of `linux/fuse.h`.

use virtiofsd::fuse::Opcode;

/// `FUSE_ROOT_ID`.
pub const ROOT: u64 = 1;

/// A request with its header, from root's process.
pub fn request(opcode: Opcode, node: u64, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(40 + body.len());
    message.extend((40 + body.len() as u32).to_ne_bytes());
    message.extend((opcode as u32).to_ne_bytes());
    message.extend(7_u64.to_ne_bytes());
    message.extend(node.to_ne_bytes());
    message.extend([0; 16]);
    message.extend(body);
    message
}

/// INIT of a kernel with minor version 38 and all features.
pub fn init() -> Vec<u8> {
    let mut body = Vec::new();
    for field in [7, 38, 1 << 17, u32::MAX, u32::MAX] {
        body.extend(u32::to_ne_bytes(field));
    }
    body.extend([0; 44]);
    request(Opcode::Init, 0, &body)
}

/// Names as FUSE sends them, each followed by a zero byte.
pub fn names(names: &[&str]) -> Vec<u8> {
    names
        .iter()
        .flat_map(|name| name.bytes().chain([0]))
        .collect()
}

/// LOOKUP of `name` in `node`.
pub fn lookup(node: u64, name: &str) -> Vec<u8> {
    request(Opcode::Lookup, node, &names(&[name]))
}

/// Numbers of 64 bits, one after another.
pub fn numbers(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().copied().flat_map(u64::to_ne_bytes).collect()
}

/// SETUPMAPPING of a range for reading and writing.
pub fn setup_mapping(node: u64, file: u64, len: u64, window: u64) -> Vec<u8> {
    request(
        Opcode::SetupMapping,
        node,
        &numbers(&[u64::MAX, file, len, 1, window]),
    )
}

/// REMOVEMAPPING of ranges, each an offset into the window and a length.
pub fn remove_mapping(ranges: &[(u64, u64)]) -> Vec<u8> {
    let mut body = (ranges.len() as u32).to_ne_bytes().to_vec();
    for (window, len) in ranges {
        body.extend(numbers(&[*window, *len]));
    }
    request(Opcode::RemoveMapping, 0, &body)
}
