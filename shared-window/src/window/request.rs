// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's requests to the window.

use crate::units::{Access, FileOffset, WindowOffset};

/// A request to map a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupRange {
    /// The offset in the window; a multiple of the page size.
    pub window: WindowOffset,
    /// The offset in the file; a multiple of the page size. May lie behind the file's end.
    pub file: FileOffset,
    /// The number of bytes; a multiple of the page size.
    pub len: u64,
    /// The access that the guest declares.
    pub access: Access,
}

/// A request to remove a part of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveRange {
    /// The offset in the window.
    pub window: WindowOffset,
    /// The number of bytes. `u64::MAX` from offset 0 means the whole window, as in the unmap
    /// request of the first virtio-fs servers.
    pub len: u64,
}
