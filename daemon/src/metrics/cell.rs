// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window's ranges, as metrics show them.

use std::sync::Arc;
use std::time::Instant;

use shared_window::{FileId, FileOffset, Mapping, RangeState, WindowOffset};

use super::names::Names;
use crate::node::NodeId;

/// The state of a range at the VMM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellState {
    /// It is mapped.
    Live,
    /// A call failed, and it is unknown whether the range is mapped.
    Unknown,
}

/// A range that is not free.
#[derive(Debug, Clone)]
pub struct Cell {
    /// The offset of the range in the window.
    pub at: WindowOffset,
    /// The length of the range in bytes.
    pub len: u64,
    /// The state of the range at the VMM.
    pub state: CellState,
    /// The FUSE node of the file.
    pub node: NodeId,
    /// Device and inode number of the file on the host.
    pub file: FileId,
    /// The file's name when it was opened for the window, if known.
    pub name: Option<Arc<str>>,
    /// The offset in the file of the range's first byte.
    pub from: FileOffset,
    /// Whether the guest has declared that it writes there.
    pub writable: bool,
    /// Since when it has been mapped.
    pub since: Instant,
}

impl Cell {
    /// The cell of a mapping; none while the VMM is being asked to map it.
    pub(super) fn of(mapping: &Mapping, names: &Names) -> Option<Self> {
        let state = match mapping.state {
            RangeState::Mapping => return None,
            RangeState::Live | RangeState::Unmapping => CellState::Live,
            RangeState::Indeterminate => CellState::Unknown,
        };
        // The daemon numbers its files by node.
        let node = NodeId(mapping.key.number()?);
        Some(Self {
            at: mapping.window.start(),
            len: mapping.window.len(),
            state,
            node,
            file: mapping.file,
            name: names.of(node),
            from: mapping.from,
            writable: mapping.writable,
            since: mapping.since,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd as _;

    use shared_window::{
        Access, DirectViews, FileKey, LINUX_RANGE, ProcessWindow, RegionBudget, SetupRange, Window,
        WindowSize,
    };

    use super::*;

    #[test]
    fn a_mapping_is_shown_with_its_file_and_what_is_known_of_it() {
        let size = WindowSize::new(LINUX_RANGE).unwrap();
        let vmm = Arc::new(ProcessWindow::new(size).unwrap());
        let window = Window::new(size, vmm, DirectViews, Arc::new(RegionBudget::default()));
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        let key = FileKey::numbered(3);
        let file_fd = file.as_file().as_fd();
        let view = window.view(key, file_fd, Access::ReadWrite).unwrap();
        let range = SetupRange {
            window: WindowOffset(0),
            file: FileOffset(0),
            len: 4096,
            access: Access::ReadOnly,
        };
        window.setup_view(&view, range).unwrap();
        let names = Names::new(File::open("/proc/self/fd").unwrap());
        names.note(NodeId(3), file_fd);

        let mut mapping = window.snapshot().remove(0);
        let states = [
            (RangeState::Mapping, None),
            (RangeState::Live, Some(CellState::Live)),
            (RangeState::Unmapping, Some(CellState::Live)),
            (RangeState::Indeterminate, Some(CellState::Unknown)),
        ];
        assert_eq!(mapping.state, RangeState::Live);
        for (state, shown) in states {
            mapping.state = state;
            let cell = Cell::of(&mapping, &names);
            assert_eq!(cell.as_ref().map(|cell| cell.state), shown);
            let Some(cell) = cell else { continue };
            assert_eq!(
                (cell.node, cell.len, cell.writable),
                (NodeId(3), 4096, false)
            );
            assert_eq!(cell.name.as_deref(), file.path().to_str());
        }
        window
            .setup_view(
                &view,
                SetupRange {
                    access: Access::ReadWrite,
                    ..range
                },
            )
            .unwrap();
        assert!(
            window.snapshot()[0].writable,
            "the guest said that it stores"
        );
    }
}
