// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The buffers of read(2) and write(2).
//!
//! QEMU's emulation finds memory by a table that has a place for each virtual page, by the lowest
//! bits of its number: 64 places at first. A copy between two pages of one place loses both time and
//! again: 64 KiB took 590 or 2,200 us in place of 95. A DAX file lies in the kernel's mapping of memory
//! one block after the other, so a buffer that is a multiple of blocks away meets this in each fourth
//! block or in all, and another one never: chance, of one guest program, by which sides would differ
//! twofold. FUSE's window and ext4 have blocks at multiples of 64 KiB, xfs half a block beside them. So
//! buffers are at neither. A page cache's pages lie anywhere.

use std::ops::{Deref, DerefMut};

use super::PAGE;

/// Bytes of a block.
const BLOCK: usize = 16 * PAGE as usize;
/// How far from a multiple of blocks: an odd number of pages.
const ASIDE: usize = 5 * PAGE as usize;

/// So many bytes, at no place where a block of a file is.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Buffer {
    pub(super) fn new(len: usize) -> Self {
        let bytes = vec![0; len + 2 * BLOCK];
        let start = bytes.as_ptr().align_offset(BLOCK) + ASIDE;
        Self { bytes, start, len }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..][..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::{ASIDE, BLOCK, Buffer};

    #[test]
    fn it_is_aside_from_blocks() {
        for len in [1, 4096, BLOCK, 3 * BLOCK] {
            let mut buffer = Buffer::new(len);
            assert_eq!(buffer.as_ptr().addr() % BLOCK, ASIDE);
            assert_eq!(buffer.len(), len);
            buffer.fill(1);
        }
    }
}
