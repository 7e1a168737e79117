// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Memory for the data of requests.

use std::ops::Range;
use std::sync::Arc;

use vm_memory::{GuestAddress, VolatileSlice};

use super::{MemoryError, Region};

/// A range of guest addresses, as one descriptor holds it. Not necessarily one where memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuestSpan {
    /// Where it begins.
    pub addr: GuestAddress,
    /// Its length in bytes.
    pub len: u32,
}

/// Guest memory that was taken from a region, and goes back when it is dropped.
///
/// The device may still write to it then, if a request that named it is under way: that is only
/// guest memory, as a real driver's.
#[derive(Debug)]
pub struct GuestBuffer {
    region: Arc<Region>,
    at: usize,
    len: usize,
}

impl GuestBuffer {
    pub(super) fn new(region: Arc<Region>, at: usize, len: usize) -> Self {
        Self { region, at, len }
    }

    /// Bytes of the buffer.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of it.
    ///
    /// # Panics
    /// If it is longer than one descriptor can say.
    pub fn span(&self) -> GuestSpan {
        self.part(0..self.len)
    }

    /// A part of it.
    ///
    /// # Panics
    /// If `range` is not in it, or longer than one descriptor can say.
    pub fn part(&self, range: Range<usize>) -> GuestSpan {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "{range:?} is not within {} bytes",
            self.len
        );
        GuestSpan {
            addr: GuestAddress(self.region.base().0 + (self.at + range.start) as u64),
            len: u32::try_from(range.len()).expect("a descriptor holds less than 4 GiB"),
        }
    }

    /// The bytes, for access without a copy.
    pub fn volatile(&self) -> VolatileSlice<'_> {
        let slice = self.region.slice_at(self.at, self.len);
        slice.expect("a buffer is in its region")
    }

    /// Writes `bytes` at `offset`.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] if they do not fit.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), MemoryError> {
        self.within(offset, bytes.len())?.copy_from(bytes);
        Ok(())
    }

    /// Reads as many bytes as `bytes` holds, from `offset` on.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] if there are fewer.
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> Result<(), MemoryError> {
        self.within(offset, bytes.len())?.copy_to(bytes);
        Ok(())
    }

    /// The first `len` bytes.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] if there are fewer.
    pub fn to_vec(&self, len: usize) -> Result<Vec<u8>, MemoryError> {
        self.within(0, len)?;
        let mut bytes = vec![0; len];
        self.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Makes all bytes this one.
    pub fn fill(&self, byte: u8) {
        let (pattern, all) = ([byte; 4096], self.volatile());
        for at in (0..self.len).step_by(pattern.len()) {
            let part = all.offset(at).expect("within the buffer");
            part.copy_from(&pattern[..pattern.len().min(self.len - at)]);
        }
    }

    /// The region that it was taken from.
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// Where it begins in its region.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    fn within(&self, at: usize, len: usize) -> Result<VolatileSlice<'_>, MemoryError> {
        let size = self.len;
        let end = at.checked_add(len).filter(|end| *end <= size);
        end.ok_or(MemoryError::Outside { at, len, size })?;
        self.region.slice_at(self.at + at, len)
    }
}

impl Drop for GuestBuffer {
    fn drop(&mut self) {
        self.region.give_back(self.at, self.len);
    }
}
