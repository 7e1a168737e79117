// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What happens to a window, step by step.

use shared_window::Access;

use super::seams::CallFault;

/// One request of a guest, or one load or store; numbers are pages.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Setup {
        at: u64,
        pages: u64,
        file: usize,
        from: u64,
        access: Access,
        /// Bytes added to the window offset, to spoil the alignment.
        skew: u64,
    },
    Remove(Vec<(u64, u64)>),
    Clear,
    Store {
        page: u64,
        byte: u8,
    },
}

/// A request and what goes wrong meanwhile.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) action: Action,
    /// What happens to the calls to the VMM, in order; those behind the end go well.
    pub(crate) faults: Vec<CallFault>,
    /// Whether opening a view fails.
    pub(crate) no_view: bool,
    /// Whether the machine's regions are used up.
    pub(crate) no_region: bool,
}
