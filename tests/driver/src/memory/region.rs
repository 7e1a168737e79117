// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One region of guest memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::MemfdFlags;
use vhost::VhostUserMemoryRegionInfo;
use vm_memory::{FileOffset, GuestAddress, MmapRegion, VolatileMemory, VolatileSlice};

use super::free::FreeRanges;
use super::{GuestBuffer, GuestSpan, MemoryError};

/// A memfd at a guest address, mapped into this process.
#[derive(Debug)]
pub struct Region {
    base: GuestAddress,
    mapping: MmapRegion,
    file: Arc<File>,
    free: Mutex<FreeRanges>,
}

impl Region {
    /// Makes `size` bytes of zeroed guest memory at `base`.
    ///
    /// # Errors
    /// [`MemoryError`] when the host has no room for it.
    pub fn new(base: GuestAddress, size: usize) -> Result<Arc<Self>, MemoryError> {
        let failed = |source: io::Error| MemoryError::Create { size, source };
        let file = rustix::fs::memfd_create("guest-memory", MemfdFlags::CLOEXEC)
            .map_err(|error| failed(error.into()))?;
        let file = Arc::new(File::from(file));
        file.set_len(size as u64).map_err(failed)?;
        let place = FileOffset::from_arc(Arc::clone(&file), 0);
        let mapping = MmapRegion::from_file(place, size)
            .map_err(|source| MemoryError::Map { size, source })?;
        Ok(Arc::new(Self {
            base,
            mapping,
            file,
            free: Mutex::new(FreeRanges::all(size)),
        }))
    }

    /// The guest address of the region.
    pub fn base(&self) -> GuestAddress {
        self.base
    }

    /// Bytes of the region.
    pub fn size(&self) -> usize {
        self.mapping.size()
    }

    /// The memfd, for callers that share it in other ways.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Allocates `len` bytes with this alignment until the buffer is dropped. The bytes are not
    /// zeroed.
    ///
    /// # Errors
    /// [`MemoryError::Exhausted`].
    pub fn allocate(
        self: &Arc<Self>,
        len: usize,
        align: usize,
    ) -> Result<GuestBuffer, MemoryError> {
        let at = self.free.lock().take(len.max(1), align);
        let at = at.ok_or(MemoryError::Exhausted { len })?;
        Ok(GuestBuffer::new(Arc::clone(self), at, len))
    }

    /// The bytes of `span`, which may be anywhere in the region.
    ///
    /// # Errors
    /// [`MemoryError`] if `span` is not completely within the region.
    pub fn slice(&self, span: GuestSpan) -> Result<VolatileSlice<'_>, MemoryError> {
        let at = span.addr.0.checked_sub(self.base.0);
        let at = at.ok_or(MemoryError::NoSuchAddress { at: span.addr })?;
        self.slice_at(at as usize, span.len as usize)
    }

    /// The region, as a vhost-user back end is told of it.
    pub(crate) fn info(&self) -> VhostUserMemoryRegionInfo {
        VhostUserMemoryRegionInfo {
            guest_phys_addr: self.base.0,
            memory_size: self.size() as u64,
            userspace_addr: self.user_address(0),
            mmap_offset: 0,
            mmap_handle: self.raw_fd(),
        }
    }

    /// The address of an offset in this process, which vhost-user calls a "user address".
    pub(crate) fn user_address(&self, offset: usize) -> u64 {
        self.mapping.as_ptr() as u64 + offset as u64
    }

    pub(crate) fn memory(&self) -> &MmapRegion {
        &self.mapping
    }

    pub(super) fn slice_at(&self, at: usize, len: usize) -> Result<VolatileSlice<'_>, MemoryError> {
        let size = self.size();
        self.mapping
            .get_slice(at, len)
            .map_err(|_| MemoryError::Outside { at, len, size })
    }

    pub(super) fn give_back(&self, at: usize, len: usize) {
        self.free.lock().give(at, len.max(1));
    }

    fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}
