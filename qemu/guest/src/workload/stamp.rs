// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The stamp in each page, which shows an access to the wrong page, or to none.

use super::Files;

/// A guest's page.
pub const PAGE: u64 = 4096;

/// The first 16 bytes of a page: whose it is, and which turn wrote it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Tells the page from all others.
    pub identity: u64,
    /// The turn that wrote it; 0 is that which made the file.
    pub version: u64,
}

impl Stamp {
    /// Bytes that it takes.
    pub const LEN: usize = 16;

    /// That of the page that begins at `at` of a file.
    pub fn of(files: Files, file: u64, at: u64, version: u64) -> Self {
        Self {
            identity: mixed(files.size ^ mixed(file ^ mixed(at / PAGE))),
            version,
        }
    }

    /// As it stands in the page.
    pub fn bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.identity.to_le_bytes());
        bytes[8..].copy_from_slice(&self.version.to_le_bytes());
        bytes
    }

    /// That which stands in a page.
    ///
    /// # Panics
    ///
    /// If there are less than 16 bytes.
    pub fn read(page: &[u8]) -> Self {
        let word = |at: usize| u64::from_le_bytes(page[at..at + 8].try_into().expect("8 bytes"));
        Self {
            identity: word(0),
            version: word(8),
        }
    }
}

/// Stamps all pages of a block of a file.
pub fn fill(block: &mut [u8], files: Files, file: u64, at: u64, version: u64) {
    for (page, at) in block
        .chunks_mut(PAGE as usize)
        .zip((at..).step_by(PAGE as usize))
    {
        page[..Stamp::LEN].copy_from_slice(&Stamp::of(files, file, at, version).bytes());
    }
}

/// The finalizer of splitmix64: no two numbers give the same, and zeros are no page's.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_page_has_its_own() {
        let mut seen = HashSet::new();
        for size in [64 << 10, 4 << 20] {
            let files = Files {
                size,
                working: 1 << 30,
            };
            for file in 0..50 {
                for at in (0..64 << 10).step_by(PAGE as usize) {
                    assert!(seen.insert(Stamp::of(files, file, at, 0).identity));
                }
            }
        }
        assert!(!seen.contains(&0), "a hole is no page");
    }

    #[test]
    fn what_is_written_is_read() {
        let files = Files {
            size: 4 << 20,
            working: 4 << 20,
        };
        let mut block = vec![0; 3 * PAGE as usize];
        fill(&mut block, files, 7, 2 * PAGE, 9);
        let third = Stamp::read(&block[2 * PAGE as usize..]);
        assert_eq!(third, Stamp::of(files, 7, 4 * PAGE, 9));
    }
}
