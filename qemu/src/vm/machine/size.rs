// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Sizes as users type them.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, written with a binary suffix: `4096`, `64K`, `256M`, `1G`, `1GiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

/// A text that is no size.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no size (give bytes, or a number with K, M, G or T, such as 256M)")]
pub struct SizeError {
    text: String,
    source: parse_size::Error,
}

impl ByteSize {
    /// A size of `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// A size of `mebibytes` MiB.
    pub const fn mib(mebibytes: u32) -> Self {
        Self((mebibytes as u64) << 20)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = SizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_size::Config::new()
            .with_binary()
            .parse_size(text)
            .map(Self)
            .map_err(|source| SizeError {
                text: text.to_owned(),
                source,
            })
    }
}

/// The shortest exact text that both QEMU and `virtiofs-daxd` read as this size. A size that is no
/// multiple of 1 KiB gets the suffix `B`, because QEMU's `-m` takes a bare number for MiB.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (suffix, shift) in [('T', 40), ('G', 30), ('M', 20), ('K', 10)] {
            let unit = 1_u64 << shift;
            if self.0 >= unit && self.0.is_multiple_of(unit) {
                return write!(f, "{}{suffix}", self.0 / unit);
            }
        }
        write!(f, "{}B", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_their_canonical_form() {
        for (text, bytes, shown) in [
            ("4096", 4096, "4K"),
            ("4097", 4097, "4097B"),
            ("256M", 256 << 20, "256M"),
            ("1G", 1 << 30, "1G"),
            ("1GiB", 1 << 30, "1G"),
            ("1536m", 1536 << 20, "1536M"),
            ("0", 0, "0B"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, shown));
        }
    }

    #[test]
    fn texts_that_are_no_size() {
        for text in ["", "much", "-1", "1X", "99999999999G"] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
