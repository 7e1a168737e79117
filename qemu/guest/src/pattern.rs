// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Bytes that are a function of a seed and their offset in a file.
//!
//! Any part of a file can be checked on its own, misplaced data is told from wrong data, and no
//! byte is ever zero: a hole in a DAX window reads as zero, and so do blocks that were never
//! written.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The seed of a file's pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(pub u64);

/// The first byte that differs from the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Offset in the file, in bytes.
    pub offset: u64,
    /// What the pattern has there.
    pub expected: u8,
    /// What was found.
    pub found: u8,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "offset {:#x}: expected {:#04x}, found {:#04x}",
            self.offset, self.expected, self.found
        )
    }
}

/// The eight bytes at `index * 8`, none of them zero.
fn word(seed: Seed, index: u64) -> [u8; 8] {
    // The finaliser of splitmix64: neighbouring offsets and seeds give unrelated words.
    let mut x = seed.0 ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    x.to_le_bytes()
        .map(|byte| if byte == 0 { 0xa5 } else { byte })
}

/// Fills `buffer` with the pattern of a file's bytes from `offset` on.
pub fn fill(seed: Seed, offset: u64, buffer: &mut [u8]) {
    let mut at = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let within = (at % 8) as usize;
        let count = rest.len().min(8 - within);
        let (head, tail) = rest.split_at_mut(count);
        head.copy_from_slice(&word(seed, at / 8)[within..within + count]);
        at += count as u64;
        rest = tail;
    }
}

/// Compares `buffer`, read from a file at `offset`, with the pattern.
pub fn check(seed: Seed, offset: u64, buffer: &[u8]) -> Result<(), Mismatch> {
    let mut at = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let within = (at % 8) as usize;
        let count = rest.len().min(8 - within);
        let expected = &word(seed, at / 8)[within..within + count];
        if let Some(i) = (0..count).find(|&i| rest[i] != expected[i]) {
            return Err(Mismatch {
                offset: at + i as u64,
                expected: expected[i],
                found: rest[i],
            });
        }
        at += count as u64;
        rest = &rest[count..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_equals_the_same_part_of_the_whole() {
        let mut whole = vec![0; 4099];
        fill(Seed(7), 0, &mut whole);
        for (from, to) in [(0, 1), (3, 8), (5, 29), (4090, 4099)] {
            let mut part = vec![0; to - from];
            fill(Seed(7), from as u64, &mut part);
            assert_eq!(part, whole[from..to]);
            assert_eq!(check(Seed(7), from as u64, &whole[from..to]), Ok(()));
        }
    }

    #[test]
    fn no_byte_is_zero() {
        let mut bytes = vec![0; 1 << 16];
        fill(Seed(0), 0, &mut bytes);
        assert!(bytes.iter().all(|&byte| byte != 0));
    }

    #[test]
    fn a_changed_a_misplaced_and_a_foreign_byte_are_found() {
        let mut bytes = vec![0; 64];
        fill(Seed(1), 4096, &mut bytes);
        let foreign = check(Seed(2), 4096, &bytes);
        assert!(foreign.is_err(), "another seed passed");
        assert!(
            check(Seed(1), 8192, &bytes).is_err(),
            "another offset passed"
        );
        bytes[13] ^= 1;
        let found = check(Seed(1), 4096, &bytes).unwrap_err();
        assert_eq!(found.offset, 4096 + 13);
    }
}
