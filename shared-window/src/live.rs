// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window's table, for threads that must not wait for the VMM.
//!
//! An operation excludes all other operations during its calls to the VMM. The table has a lock of
//! its own, which is held for one look or one move. So a request whose buffer lies in the window,
//! or a snapshot, never waits for the VMM. A range becomes [`RangeState::Live`] once the VMM has
//! mapped it, and is no longer live before the VMM is asked to unmap it: a live range is one that
//! the guest may use.
//!
//! A thread that finds a range holds its [`View`], so the file stays the same, whatever happens to
//! the range meanwhile.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::mapped::Mapped;
use crate::table::{RangeState, Table};
use crate::units::{Access, FileOffset, WindowOffset, WindowRange};
use crate::view::{FileId, FileKey, View};

/// A mapped piece of a file.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub view: Arc<View>,
    /// The offset in the file.
    pub from: FileOffset,
    /// The number of bytes, at least 1.
    pub len: u64,
}

/// A range of the window that is not free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The range.
    pub window: WindowRange,
    /// The file that is mapped there.
    pub key: FileKey,
    /// The host's numbers for that file.
    pub file: FileId,
    /// The place in the file.
    pub from: FileOffset,
    /// Whether the mapping is in effect.
    pub state: RangeState,
    /// The guest has declared that it stores there.
    pub writable: bool,
    /// When the VMM was asked to map it.
    pub since: Instant,
}

/// The values that live as long as a mapping.
pub(crate) struct Held {
    pub(crate) view: Arc<View>,
    /// The file's entry in [`crate::MappedFiles`], from before the VMM maps until after it has
    /// unmapped.
    pub(crate) _mapped: Mapped,
}

/// The ranges of one window. Nothing here waits for the VMM.
pub struct LiveRanges(Mutex<Table<Held>>);

impl LiveRanges {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Table::new()))
    }

    /// The piece of a file at `at`: up to `len` bytes, fewer if the mapping ends before. `None` if
    /// no mapping is in effect there.
    pub fn find(&self, at: WindowOffset, len: u64) -> Option<Place> {
        let table = self.lock();
        let entry = table.find(at)?;
        if entry.state != RangeState::Live {
            return None;
        }
        let within = at.0 - entry.range.start().0;
        Some(Place {
            view: Arc::clone(&entry.hold.view),
            from: FileOffset(entry.target.from.0 + within),
            len: (entry.range.len() - within).min(len),
        })
    }

    /// How many mappings are in effect.
    pub fn count(&self) -> usize {
        self.lock().count(RangeState::Live)
    }

    /// All ranges that are not free, in order, as they are now.
    pub fn snapshot(&self) -> Vec<Mapping> {
        let table = self.lock();
        let mapping = table.iter().map(|entry| Mapping {
            window: entry.range,
            key: entry.target.file.clone(),
            file: entry.hold.view.file(),
            from: entry.target.from,
            state: entry.state,
            writable: entry.access.asked == Access::ReadWrite,
            since: entry.since,
        });
        mapping.collect()
    }

    /// For one look or one move: never held while the VMM is called or a view is closed.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Table<Held>> {
        // A panic leaves each move complete or not begun.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LiveRanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveRanges")
            .field("live", &self.count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, BorrowedFd};
    use std::sync::mpsc::{self, Receiver, Sender};
    use std::sync::{Arc, Mutex};
    use std::thread;

    use crate::{
        Access, DirectViews, FileOffset, ProcessWindow, RangeState, RegionBudget, RemoveRange,
        SetupRange, Vmm, VmmError, Window, WindowOffset, WindowSize, page_size,
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
        assert_eq!(live.count(), 2);
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
        assert_eq!(live.count(), 1);
        assert!(live.snapshot()[0].writable);
        window.clear().unwrap();
        assert_eq!(found(2 * page, 1), None);
    }

    /// A VMM whose calls begin, and end when the test allows it.
    struct Held {
        begins: Sender<()>,
        ends: Mutex<Receiver<()>>,
    }

    impl Held {
        fn call(&self) {
            self.begins.send(()).unwrap();
            self.ends.lock().unwrap().recv().unwrap();
        }
    }

    impl Vmm for Held {
        fn map(
            &self,
            _at: WindowOffset,
            _len: u64,
            _view: BorrowedFd<'_>,
            _from: FileOffset,
            _access: Access,
        ) -> Result<(), VmmError> {
            self.call();
            Ok(())
        }

        fn unmap(&self, _at: WindowOffset, _len: u64) -> Result<(), VmmError> {
            self.call();
            Ok(())
        }
    }

    #[test]
    fn a_look_does_not_wait_for_the_vmm() {
        let page = page_size();
        let size = WindowSize::new(16 * page).unwrap();
        let (begins, begun) = mpsc::channel();
        let (end, ends) = mpsc::channel();
        let ends = Mutex::new(ends);
        let vmm = Held { begins, ends };
        let window = Window::new(size, vmm, DirectViews, Arc::new(RegionBudget::default()));
        let live = window.live_ranges();
        let look = || {
            let ranges = live.snapshot();
            assert!(
                ranges.iter().all(|range| !range.writable),
                "the guest only reads"
            );
            let states: Vec<_> = ranges.iter().map(|range| range.state).collect();
            let found = live.find(WindowOffset(0), 1).is_some();
            (states, found, window.stats().live)
        };
        let file = tempfile::tempfile().unwrap();
        let ask = SetupRange {
            window: WindowOffset(0),
            file: FileOffset(0),
            len: page,
            access: Access::ReadOnly,
        };
        let gone = RemoveRange {
            window: WindowOffset(0),
            len: page,
        };
        thread::scope(|scope| {
            let setup = scope.spawn(|| window.setup(file.as_fd(), ask));
            begun.recv().unwrap();
            assert_eq!(look(), (vec![RangeState::Mapping], false, 0));
            end.send(()).unwrap();
            setup.join().unwrap().unwrap();
            assert_eq!(look(), (vec![RangeState::Live], true, 1));

            let removal = scope.spawn(|| window.remove(&[gone]));
            begun.recv().unwrap();
            assert_eq!(look(), (vec![RangeState::Unmapping], false, 0));
            end.send(()).unwrap();
            removal.join().unwrap().unwrap();
            assert_eq!(look(), (vec![], false, 0));
        });
    }
}
