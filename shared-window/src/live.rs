// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What lies at each offset of the window now.
//!
//! The window's table is locked while the VMM is asked. A request whose buffer lies in the window
//! can't wait for that, so the mappings that are in effect are kept here as well, under a lock that
//! is held for one entry. A range is entered once the VMM has mapped it, and leaves before the VMM
//! is asked to unmap it: what is found here is a mapping that the guest may use.
//!
//! A thread that finds a range holds its [`View`], so the file stays what it was, whatever becomes of the
//! range meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::units::{FileOffset, WindowOffset, WindowRange};
use crate::view::View;

/// A piece of a file, as it is mapped.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub view: Arc<View>,
    /// Where in the file.
    pub from: FileOffset,
    /// How many bytes, at least 1.
    pub len: u64,
}

#[derive(Debug)]
struct Range {
    len: u64,
    view: Arc<View>,
    from: FileOffset,
}

/// The mappings of one window that are in effect.
#[derive(Debug, Default)]
pub struct LiveRanges(Mutex<BTreeMap<WindowOffset, Range>>);

impl LiveRanges {
    /// What lies at `at`: up to `len` bytes, fewer if the mapping ends before. `None` where nothing
    /// is mapped. Never waits for the VMM.
    pub fn find(&self, at: WindowOffset, len: u64) -> Option<Place> {
        let ranges = self.lock();
        let (start, range) = ranges.range(..=at).next_back()?;
        let within = at.0 - start.0;
        let left = range.len.checked_sub(within).filter(|left| *left > 0)?;
        Some(Place {
            view: Arc::clone(&range.view),
            from: FileOffset(range.from.0 + within),
            len: left.min(len),
        })
    }

    /// How many there are. Never waits for the VMM.
    pub fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn insert(&self, range: WindowRange, view: &Arc<View>, from: FileOffset) {
        let entry = Range {
            len: range.len(),
            view: Arc::clone(view),
            from,
        };
        self.lock().insert(range.start(), entry);
    }

    pub(crate) fn remove(&self, at: WindowOffset) {
        let gone = self.lock().remove(&at);
        // Outside of the lock: it may be the last holder of the view.
        drop(gone);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<WindowOffset, Range>> {
        // Each change is one call of the map's.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::sync::Arc;

    use crate::{
        Access, DirectViews, FileOffset, ProcessWindow, RegionBudget, RemoveRange, SetupRange,
        Window, WindowOffset, WindowSize, page_size,
    };

    #[test]
    fn what_is_found_is_what_is_mapped() {
        let page = page_size();
        let size = WindowSize::new(16 * page).unwrap();
        let vmm = Arc::new(ProcessWindow::new(size).unwrap());
        let window = Window::new(size, vmm, DirectViews, Arc::new(RegionBudget::default()));
        let live = window.live_ranges();
        let file = tempfile::tempfile().unwrap();
        file.set_len(8 * page).unwrap();
        let setup = |at, from, len| {
            let ask = SetupRange {
                window: WindowOffset(at * page),
                file: FileOffset(from * page),
                len: len * page,
                access: Access::ReadWrite,
            };
            window.setup(file.as_fd(), ask).unwrap();
        };
        let found = |at, len| {
            let place = live.find(WindowOffset(at), len)?;
            Some((place.from.0, place.len))
        };
        assert_eq!(found(0, 1), None);
        setup(2, 4, 2);
        setup(4, 0, 1);
        assert_eq!(found(2 * page - 1, 1), None, "before the first");
        assert_eq!(found(2 * page, 5), Some((4 * page, 5)));
        assert_eq!(
            found(3 * page + 7, 9 * page),
            Some((5 * page + 7, page - 7))
        );
        assert_eq!(found(4 * page, page), Some((0, page)), "the next one");
        assert_eq!(found(5 * page, 1), None, "behind the last");

        let held = live.find(WindowOffset(4 * page), page).unwrap();
        let gone = RemoveRange {
            window: WindowOffset(4 * page),
            len: page,
        };
        window.remove(&[gone]).unwrap();
        assert_eq!(found(4 * page, 1), None);
        assert_eq!(found(2 * page, 1), Some((4 * page, 1)), "the others stay");
        assert_eq!(held.view.access(), Access::ReadWrite, "and the view");
        window.clear().unwrap();
        assert_eq!(found(2 * page, 1), None);
    }
}
