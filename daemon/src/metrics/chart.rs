// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Where the window's mappings are, for those who look on.
//!
//! The window's own table is locked while the VMM is asked, which may take long; whoever looks on
//! must neither wait for that nor delay it. So the calls to the VMM are followed here, under a lock
//! that is held for an entry, or for a copy. The chart says what the VMM has; what the window makes
//! of a request is the window's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use shared_window::{FileId, FileOffset, WindowOffset};

use crate::fs::NodeId;

/// What is known about a range at the VMM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellState {
    /// It is mapped.
    Live,
    /// A call failed in a way that leaves it open whether it is mapped.
    Unknown,
}

/// The file of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    pub(crate) node: NodeId,
    pub(crate) file: FileId,
    pub(crate) name: Option<Arc<str>>,
}

/// A range that is not free.
#[derive(Debug, Clone)]
pub struct Cell {
    /// Where it begins.
    pub at: WindowOffset,
    /// Its length in bytes.
    pub len: u64,
    /// Whether it is mapped.
    pub state: CellState,
    /// The file, as FUSE names it.
    pub node: NodeId,
    /// The file, as the host names it.
    pub file: FileId,
    /// What the file was called when it was opened for the window, if that is known.
    pub name: Option<Arc<str>>,
    /// The place in the file.
    pub from: FileOffset,
    /// Whether the guest has said that it writes there.
    pub writable: bool,
    /// Since when it has been mapped.
    pub since: Instant,
}

#[derive(Debug, Default)]
struct Ranges {
    /// Whose mappings the VMM is asked for now: the window does one request at a time.
    subject: Option<Subject>,
    cells: BTreeMap<WindowOffset, Cell>,
}

/// The chart of one window.
#[derive(Debug, Default)]
pub(crate) struct Chart(Mutex<Ranges>);

impl Chart {
    /// The next mappings are of this file.
    pub(crate) fn about(&self, subject: Subject) {
        self.0.lock().subject = Some(subject);
    }

    /// The guest says that it writes to the mapping at `at`.
    pub(crate) fn written(&self, at: WindowOffset) {
        if let Some(cell) = self.0.lock().cells.get_mut(&at) {
            cell.writable = true;
        }
    }

    /// The VMM has mapped a range, or may have.
    pub(crate) fn mapped(&self, at: WindowOffset, len: u64, from: FileOffset, state: CellState) {
        let since = Instant::now();
        let mut ranges = self.0.lock();
        let Some(Subject { node, file, name }) = ranges.subject.clone() else {
            return;
        };
        let cell = Cell {
            at,
            len,
            state,
            node,
            file,
            name,
            from,
            writable: false,
            since,
        };
        ranges.cells.insert(at, cell);
    }

    /// The VMM has unmapped a range.
    pub(crate) fn unmapped(&self, at: WindowOffset) {
        self.0.lock().cells.remove(&at);
    }

    /// The VMM may or may not have unmapped a range.
    pub(crate) fn unsure(&self, at: WindowOffset) {
        if let Some(cell) = self.0.lock().cells.get_mut(&at) {
            cell.state = CellState::Unknown;
        }
    }

    /// All ranges that are not free, in order.
    pub(crate) fn read(&self) -> Vec<Cell> {
        self.0.lock().cells.values().cloned().collect()
    }
}
