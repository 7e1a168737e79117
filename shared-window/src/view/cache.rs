// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One open view of a file, as long as it has a holder.
//!
//! Opening a view costs a round trip to another process, which must not be paid for each 2 MiB of a
//! file. The cache holds no view itself: a view lives as long as a mapping or the server holds it.
//! That also makes the kernel's handles safe as keys: a handle can't be given to another file while
//! a view keeps the file open.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{FileKey, View, ViewError, ViewSource};
use crate::units::Access;

/// Dead entries are removed when there are this many entries, and again whenever the number has
/// doubled since.
const FIRST_SWEEP: usize = 64;

#[derive(Debug)]
pub(crate) struct ViewCache {
    views: Mutex<Views>,
}

#[derive(Debug)]
struct Views {
    by_file: HashMap<(FileKey, Access), Weak<View>>,
    sweep_at: usize,
}

/// A view, and whether it had to be opened.
pub(crate) struct Found {
    pub(crate) view: Arc<View>,
    pub(crate) opened: bool,
}

impl ViewCache {
    pub(crate) fn new() -> Self {
        Self {
            views: Mutex::new(Views {
                by_file: HashMap::new(),
                sweep_at: FIRST_SWEEP,
            }),
        }
    }

    /// The open view of `file`, or a new one from `source`.
    pub(crate) fn get(
        &self,
        key: FileKey,
        file: BorrowedFd<'_>,
        access: Access,
        source: &(impl ViewSource + ?Sized),
    ) -> Result<Found, ViewError> {
        // A caller must not get more access by a shared view than its own descriptor has.
        let numbers = super::check_descriptor(file, access)?;
        let entry = (key, access);
        let shared = |view| Found {
            view,
            opened: false,
        };
        if let Some(view) = self.lock().get(&entry) {
            return Ok(shared(view));
        }
        // Without the lock: an open takes as long as the file's own file system likes, and other
        // files must not wait for it. If two threads open the same file, the later view is dropped.
        let opened = source.open(file, access)?;
        let view = Arc::new(View::new(opened, entry.0.clone(), numbers, access));
        let mut views = self.lock();
        if let Some(first) = views.get(&entry) {
            drop(views);
            return Ok(shared(first));
        }
        views.insert(entry, Arc::downgrade(&view));
        Ok(Found { view, opened: true })
    }

    /// The map is always consistent, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn entries(&self) -> usize {
        self.views.lock().unwrap().by_file.len()
    }
}

impl Views {
    fn get(&self, key: &(FileKey, Access)) -> Option<Arc<View>> {
        self.by_file.get(key).and_then(Weak::upgrade)
    }

    fn insert(&mut self, key: (FileKey, Access), view: Weak<View>) {
        if self.by_file.len() >= self.sweep_at {
            self.by_file.retain(|_, view| view.strong_count() > 0);
            self.sweep_at = (2 * self.by_file.len()).max(FIRST_SWEEP);
        }
        self.by_file.insert(key, view);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::{AsFd, OwnedFd};
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::super::DirectViews;
    use super::*;

    #[test]
    fn a_view_is_shared_while_it_is_held() {
        let cache = ViewCache::new();
        let file = tempfile::tempfile().unwrap();
        let get = |access| {
            let key = FileKey::numbered(1);
            cache.get(key, file.as_fd(), access, &DirectViews).unwrap()
        };

        let first = get(Access::ReadWrite);
        let again = get(Access::ReadWrite);
        assert!(first.opened && !again.opened);
        assert!(Arc::ptr_eq(&first.view, &again.view));
        assert!(
            get(Access::ReadOnly).opened,
            "another access is another view"
        );
        drop((first, again));
        assert!(get(Access::ReadWrite).opened, "it was not held any more");
    }

    /// Reports each call, and opens when the test allows it.
    struct SlowViews {
        asked: Sender<()>,
        go_on: Mutex<Receiver<()>>,
    }

    impl ViewSource for SlowViews {
        fn open(&self, file: BorrowedFd<'_>, access: Access) -> Result<OwnedFd, ViewError> {
            self.asked.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
            DirectViews.open(file, access)
        }
    }

    #[test]
    fn other_files_do_not_wait_for_one_whose_view_takes_long() {
        let cache = ViewCache::new();
        let (slow, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let get = |file: &File, source: &dyn ViewSource| {
            let key = FileKey::of(file.as_fd()).unwrap();
            let got = cache.get(key, file.as_fd(), Access::ReadWrite, source);
            got.unwrap()
        };
        let ((asked, is_asked), (may, go_on)) = (mpsc::channel(), mpsc::channel());
        let go_on = Mutex::new(go_on);
        let source = SlowViews { asked, go_on };
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| get(&slow, &source));
            is_asked.recv().unwrap();
            assert!(get(&other, &DirectViews).opened);
            let first = get(&slow, &DirectViews);
            may.send(()).unwrap();
            let late = opening.join().unwrap();
            assert!(!late.opened, "another has opened it meanwhile");
            assert!(Arc::ptr_eq(&late.view, &first.view));
        });
    }

    #[test]
    fn files_with_equal_numbers_have_a_view_each() {
        // A duplicate of a descriptor has all numbers of its file.
        let (cache, file) = (ViewCache::new(), tempfile::tempfile().unwrap());
        let get = |node| {
            let key = FileKey::numbered(node);
            cache.get(key, file.as_fd(), Access::ReadWrite, &DirectViews)
        };
        let (one, other) = (get(1).unwrap(), get(2).unwrap());
        assert_eq!(one.view.file(), other.view.file());
        assert!(other.opened && !Arc::ptr_eq(&one.view, &other.view));
    }

    #[test]
    fn entries_of_views_that_are_gone_do_not_pile_up() {
        let cache = ViewCache::new();
        for _ in 0..20 * FIRST_SWEEP {
            let file = tempfile::tempfile().unwrap();
            let key = FileKey::of(file.as_fd()).unwrap();
            cache
                .get(key, file.as_fd(), Access::ReadWrite, &DirectViews)
                .unwrap();
        }
        assert!(
            cache.entries() <= FIRST_SWEEP,
            "{} entries",
            cache.entries()
        );
    }
}
