// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One open view of a file, as long as somebody holds it.
//!
//! Opening a view costs a round trip to another process; a mapping per 2 MiB of a file must not
//! pay it each. The cache holds no view itself: a view lives while a mapping or the server does.
//! That also makes the kernel's handles safe as keys, for one can't be given to another file while a
//! view keeps the file open.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{FileKey, View, ViewError, ViewSource};
use crate::units::Access;

/// Dead entries are swept when there are this many entries, and again whenever the number has
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

    /// The view of `file` that is open already, or a new one from `source`.
    pub(crate) fn get(
        &self,
        key: FileKey,
        file: BorrowedFd<'_>,
        access: Access,
        source: &impl ViewSource,
    ) -> Result<Found, ViewError> {
        // A caller that was handed a shared view must be able to do with its own descriptor what
        // the view does.
        let numbers = super::check_descriptor(file, access)?;
        // Held while a view is opened, so that a file never gets two. The map is always whole,
        // also where a source panicked.
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = (key, access);
        if let Some(view) = views.by_file.get(&entry).and_then(Weak::upgrade) {
            return Ok(Found {
                view,
                opened: false,
            });
        }
        let opened = source.open(file, access)?;
        let view = Arc::new(View::new(opened, entry.0.clone(), numbers, access));
        views.insert(entry, Arc::downgrade(&view));
        Ok(Found { view, opened: true })
    }

    #[cfg(test)]
    fn entries(&self) -> usize {
        self.views.lock().unwrap().by_file.len()
    }
}

impl Views {
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
    use std::os::fd::AsFd;

    use super::super::DirectViews;
    use super::*;

    #[test]
    fn a_view_is_shared_while_somebody_holds_it() {
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
        assert!(get(Access::ReadWrite).opened, "nobody held it any more");
    }

    #[test]
    fn files_with_equal_numbers_have_a_view_each() {
        // A duplicate of a descriptor has all numbers that its file has.
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
