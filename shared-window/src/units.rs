// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The quantities of a mapping, each a type of its own.
//!
//! A SETUPMAPPING request carries two offsets and a length as bare 64 bit numbers, all chosen by
//! the guest. They are converted to the types of this module on entry. So an offset into the window
//! can't be confused with one into the file, and each [`WindowRange`] has been checked against
//! overflow.

use std::fmt;

use thiserror::Error;

/// An offset into a file, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileOffset(pub u64);

/// An offset into the window, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowOffset(pub u64);

impl fmt::Display for FileOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file offset {:#x}", self.0)
    }
}

impl fmt::Display for WindowOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "window offset {:#x}", self.0)
    }
}

/// The access that a guest has asked for, or that a view of a file allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Loads only.
    ReadOnly,
    /// Loads and stores.
    ReadWrite,
}

/// The size of a window in bytes: a power of two, at least one page.
///
/// The window becomes a PCI base address register, and QEMU aborts if its size is no power of two
/// (`pci_register_bar`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowSize(u64);

/// Why a number of bytes can't be the size of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum WindowSizeError {
    /// Not a power of two.
    #[error("a window of {0} bytes is no power of two")]
    NotPowerOfTwo(u64),
    /// Less than a page of this host.
    #[error("a window of {bytes} bytes is smaller than a page of {page} bytes")]
    BelowPage {
        /// The requested size, in bytes.
        bytes: u64,
        /// The page size of this host, in bytes.
        page: u64,
    },
}

impl WindowSize {
    /// Checks `bytes` and takes it as the size of a window.
    ///
    /// # Errors
    /// [`WindowSizeError`] if `bytes` is no power of two or less than a page.
    pub fn new(bytes: u64) -> Result<Self, WindowSizeError> {
        let page = page_size();
        match bytes {
            _ if !bytes.is_power_of_two() => Err(WindowSizeError::NotPowerOfTwo(bytes)),
            _ if bytes < page => Err(WindowSizeError::BelowPage { bytes, page }),
            _ => Ok(Self(bytes)),
        }
    }

    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// A range of the window: not empty, and without overflow at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowRange {
    start: WindowOffset,
    len: u64,
}

impl WindowRange {
    /// The range of `len` bytes from `start`; `None` if it is empty or its end overflows.
    pub fn new(start: WindowOffset, len: u64) -> Option<Self> {
        start.0.checked_add(len)?;
        (len != 0).then_some(Self { start, len })
    }

    /// The first offset of the range.
    pub fn start(self) -> WindowOffset {
        self.start
    }

    /// The first offset behind the range.
    pub fn end(self) -> WindowOffset {
        WindowOffset(self.start.0 + self.len)
    }

    /// Length in bytes, never 0.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a range is never empty, so the question can't be asked"
    )]
    pub fn len(self) -> u64 {
        self.len
    }

    /// Whether a byte belongs to both ranges.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }

    /// Whether every byte of `other` belongs to this range.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end() <= self.end()
    }
}

impl fmt::Display for WindowRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}..{:#x}", self.start.0, self.end().0)
    }
}

/// How many bytes a Linux guest maps at a time; each mapping starts at a multiple of it
/// (`FUSE_DAX_SHIFT`).
pub const LINUX_RANGE: u64 = 2 << 20;

/// The page size of this host in bytes: the alignment of every mapping.
pub fn page_size() -> u64 {
    // rustix would read it from the kernel's vDSO, which a process under valgrind does not have.
    // SAFETY: sysconf(3) only reads.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).expect("every Linux has a page size")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_sizes_are_powers_of_two_of_at_least_a_page() {
        for good in [page_size(), LINUX_RANGE, 256 << 20, 16 << 30] {
            assert_eq!(WindowSize::new(good).map(WindowSize::bytes), Ok(good));
        }
        for odd in [0, 3, (256 << 20) - 1, 3 << 20, u64::MAX] {
            assert_eq!(
                WindowSize::new(odd),
                Err(WindowSizeError::NotPowerOfTwo(odd))
            );
        }
        assert!(matches!(
            WindowSize::new(1),
            Err(WindowSizeError::BelowPage { bytes: 1, .. })
        ));
    }

    #[test]
    fn ranges_know_their_bounds() {
        let range = |start, len| WindowRange::new(WindowOffset(start), len);
        assert_eq!(range(0, 0), None);
        assert_eq!(range(u64::MAX, 1), None);
        assert_eq!(range(1, u64::MAX), None);
        let (a, b, c) = (
            range(0, 8).unwrap(),
            range(8, 8).unwrap(),
            range(4, 8).unwrap(),
        );
        assert!(!a.overlaps(b) && !b.overlaps(a));
        assert!(a.overlaps(c) && c.overlaps(b));
        assert!(range(0, 16).unwrap().contains(b) && !c.contains(b));
        assert_eq!(b.to_string(), "0x8..0x10");
    }

    #[test]
    fn an_offset_says_what_it_is_an_offset_of() {
        assert_eq!(FileOffset(0x2000).to_string(), "file offset 0x2000");
        assert_eq!(WindowOffset(0x2000).to_string(), "window offset 0x2000");
    }
}
