// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a guest asks of the window.

use crate::units::{Access, FileOffset, WindowOffset};

/// A mapping that a guest asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupRange {
    /// Where in the window; a multiple of the page size.
    pub window: WindowOffset,
    /// From where in the file; a multiple of the page size. May lie behind the file's end.
    pub file: FileOffset,
    /// How many bytes; a multiple of the page size.
    pub len: u64,
    /// What the guest says it will do.
    pub access: Access,
}

/// A part of the window that a guest gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemoveRange {
    /// Where it begins.
    pub window: WindowOffset,
    /// How many bytes. `u64::MAX` from offset 0 means all of the window, as in the unmap request
    /// of the first virtio-fs servers.
    pub len: u64,
}
