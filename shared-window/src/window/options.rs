// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the window leaves a choice to its server.

use crate::units::{Access, LINUX_RANGE, WindowSize};

/// How a window behaves where there is a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowOptions {
    /// What every mapping allows the guest. [`Access::ReadOnly`] is for a VMM that keeps a guest from
    /// storing; a request to map for writing is refused then.
    pub access: Access,
    /// What to do when a guest wants to write where it only read so far.
    pub upgrade: Upgrade,
    /// What to do with a descriptor that is open for reading only.
    pub reopen: Reopen,
    /// How many ranges the guest may have mapped at once. Without a limit it may map page by page,
    /// and use up the machine's memory regions with any window.
    pub max_ranges: usize,
}

impl WindowOptions {
    /// As many ranges as a Linux guest can map in a window of this size; one at least.
    pub fn linux_ranges(size: WindowSize) -> usize {
        usize::try_from(size.bytes() / LINUX_RANGE).map_or(usize::MAX, |ranges| ranges.max(1))
    }
}

impl Default for WindowOptions {
    /// No limit to the number of ranges but the machine's [`RegionBudget`](crate::RegionBudget).
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
    /// Map with [`WindowOptions::access`] from the start, so that there is nothing to do.
    #[default]
    InPlace,
    /// Map as asked, and unmap and map again to upgrade. **A fault, for tests only**: other
    /// processors of the guest read zeros in between.
    Remap,
}

/// What [`Window::setup`](crate::Window::setup) does with a descriptor that is open for reading only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reopen {
    /// Refuse it.
    #[default]
    Never,
    /// Open the file again for writing, by way of `/proc/self/fd`, with the rights of the calling
    /// thread. Only for servers of which the guest may write *every* file that it may map: a guest
    /// can store through the mapping whatever it asked for. Servers that open a file as the guest
    /// asked, as the passthrough file system of fuse-backend-rs does, need this.
    Writable,
}
