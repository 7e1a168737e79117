// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Options of the window for its server.

use crate::units::{Access, LINUX_RANGE, WindowSize};

/// The options of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// The access of every mapping. [`Access::ReadOnly`] is for a VMM that keeps a guest from
    /// storing; a request to map for writing is then refused.
    pub access: Access,
    /// What to do when a guest wants to write where it only read so far.
    pub upgrade: Upgrade,
    /// What to do with a descriptor that is open only for reading.
    pub reopen: Reopen,
    /// How many ranges the guest may have mapped at once. Without a limit it may map single pages,
    /// and use up the machine's memory regions with a window of any size.
    pub max_ranges: usize,
}

impl WindowOptions {
    /// The number of ranges that a Linux guest can map in a window of this size; at least one.
    pub fn linux_ranges(size: WindowSize) -> usize {
        usize::try_from(size.bytes() / LINUX_RANGE).map_or(usize::MAX, |ranges| ranges.max(1))
    }
}

impl Default for WindowOptions {
    /// No limit of ranges except the machine's [`RegionBudget`](crate::RegionBudget).
    fn default() -> Self {
        Self {
            access: Access::ReadWrite,
            upgrade: Upgrade::default(),
            reopen: Reopen::default(),
            max_ranges: usize::MAX,
        }
    }
}

/// What to do when a guest wants to write where it only read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Upgrade {
    /// Map with [`WindowOptions::access`] from the start, so that an upgrade has nothing to do.
    #[default]
    InPlace,
    /// Map with the requested access, and unmap and map again for an upgrade. **A fault, for tests
    /// only**: other processors of the guest read zeros in between.
    Remap,
}

/// What [`Window::setup`](crate::Window::setup) does with a descriptor that is open only for
/// reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reopen {
    /// Refuse it.
    #[default]
    Never,
    /// Open the file again for writing, through `/proc/self/fd`, with the rights of the calling
    /// thread. Only for servers whose guest may write *every* file that it may map: a guest can
    /// store through the mapping whatever access it asked for. Servers that open a file with the
    /// guest's access, as the passthrough file system of fuse-backend-rs does, need this.
    Writable,
}
