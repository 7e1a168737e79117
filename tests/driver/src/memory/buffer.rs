// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Memory for the data of requests.

use std::ops::Range;
use std::sync::Arc;

use vm_memory::{GuestAddress, VolatileSlice};

use super::{MemoryError, Region};

/// A range of guest addresses, as one descriptor holds it. There need not be memory at the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GuestSpan {
    /// The first address.
    pub addr: GuestAddress,
    /// Its length in bytes.
    pub len: u32,
}

/// Guest memory that was allocated from a region, and is freed on drop.
///
/// If a request in flight names the buffer, the device may still write to it after that. This is
/// harmless: it only changes guest memory, as with a real driver.
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

    /// Whether the buffer has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The span of the whole buffer.
    ///
    /// # Panics
    /// If the buffer is longer than one descriptor can describe.
    pub fn span(&self) -> GuestSpan {
        self.part(0..self.len)
    }

    /// The span of a part of the buffer.
    ///
    /// # Panics
    /// If `range` is not within the buffer, or is longer than one descriptor can describe.
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

    /// Sets all bytes to this one.
    pub fn fill(&self, byte: u8) {
        let (pattern, all) = ([byte; 4096], self.volatile());
        for at in (0..self.len).step_by(pattern.len()) {
            let part = all.offset(at).expect("within the buffer");
            part.copy_from(&pattern[..pattern.len().min(self.len - at)]);
        }
    }

    /// The region of the buffer.
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// The offset in the region.
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
