// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sets up mappings.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{Inner, Operation, Reopen, Upgrade, Window, WindowError};
use crate::live::Held;
use crate::table::{Allowed, RangeEvent, RangeState, Target};
use crate::units::{Access, FileOffset, WindowOffset, WindowRange, page_size};
use crate::view::{FileKey, View, ViewError, ViewSource, check_descriptor};
use crate::vmm::{Effect, Vmm};

/// A request to map a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupRange {
    /// The offset in the window; a multiple of the page size.
    pub window: WindowOffset,
    /// The offset in the file; a multiple of the page size. May lie behind the file's end.
    pub file: FileOffset,
    /// The number of bytes; a multiple of the page size.
    pub len: u64,
    /// The access that the guest declares.
    pub access: Access,
}

/// A request for a mapping whose numbers have been checked.
struct Ask {
    range: WindowRange,
    target: Target,
    access: Allowed,
}

/// The existing ranges in the place of a new mapping.
enum Overlap {
    /// The requested mapping exists, with this access.
    Same(Access),
    /// Ranges that have to be unmapped first. None of them is a live mapping of another range.
    ToUnmap(Vec<WindowRange>),
}

impl<M: Vmm, S: ViewSource> Window<M, S> {
    /// Maps a range of `file`, identified by [`FileKey::of`]. Returns once the guest can use it.
    ///
    /// `file` need not stay open.
    ///
    /// # Errors
    /// [`WindowError`]; the range is then as before, or free, or refused until an unmap of it
    /// succeeds.
    pub fn setup(&self, file: BorrowedFd<'_>, ask: SetupRange) -> Result<(), WindowError> {
        let reopened = match self.inner.options.reopen {
            Reopen::Never => None,
            Reopen::Writable => reopen_for_writing(file)?,
        };
        let file = reopened.as_ref().map_or(file, AsFd::as_fd);
        let key = FileKey::of(file).map_err(|source| ViewError::System {
            what: "tell a file from others",
            source,
        })?;
        let view = self.view(key, file, self.inner.options.access)?;
        self.setup_view(&view, ask)
    }

    /// [`Window::setup`] with a view that is open already.
    ///
    /// # Errors
    /// As [`Window::setup`].
    pub fn setup_view(&self, view: &Arc<View>, ask: SetupRange) -> Result<(), WindowError> {
        let done = self.inner.setup(view, ask);
        self.inner.count_outcome(&done);
        done
    }
}

impl<M: Vmm, S: ViewSource> Inner<M, S> {
    fn setup(&self, view: &Arc<View>, ask: SetupRange) -> Result<(), WindowError> {
        let ask = self.check(view, ask)?;
        let (from, len) = (ask.target.from, ask.range.len());
        let mapped = self.mapped.enter(view.file(), view.key(), from, len);
        let held = Held {
            view: Arc::clone(view),
            _mapped: mapped.map_err(|_| WindowError::LosingPages)?,
        };
        let mut operation = self.begin();
        let to_unmap = match self.overlap(&ask)? {
            Overlap::Same(allowed)
                if allowed < ask.access.asked && self.options.upgrade == Upgrade::InPlace =>
            {
                return Err(WindowError::NotWritable(allowed));
            }
            Overlap::Same(allowed) => {
                self.stats.repeated.count();
                let upgraded = self
                    .ranges
                    .lock()
                    .upgrade(ask.range.start(), ask.access.asked);
                if upgraded {
                    self.stats.upgraded.count();
                }
                if allowed >= ask.access.asked {
                    return Ok(());
                }
                vec![ask.range]
            }
            Overlap::ToUnmap(ranges) => ranges,
        };
        self.make_room(&mut operation, &to_unmap)?;
        self.map(&mut operation, held, ask)
    }

    /// Checks the numbers of a request, which the guest has chosen, and the view.
    fn check(&self, view: &View, ask: SetupRange) -> Result<Ask, WindowError> {
        let SetupRange {
            window,
            file,
            len,
            access,
        } = ask;
        if [window.0, file.0, len].iter().any(|n| n % page_size() != 0) {
            return Err(WindowError::Misaligned { window, file, len });
        }
        let range = self.bounds(window, len)?;
        if file
            .0
            .checked_add(len)
            .is_none_or(|end| end > i64::MAX as u64)
        {
            return Err(WindowError::FileOffsetTooLarge { file, len });
        }
        let most = if self.enforces_read_only.load(Ordering::Acquire) {
            self.options.access.min(view.access())
        } else {
            self.options.access
        };
        if view.access() < most.max(access) {
            return Err(WindowError::NotWritable(view.access()));
        }
        let target = Target {
            file: view.key().clone(),
            from: file,
        };
        let allow = match self.options.upgrade {
            Upgrade::InPlace => most,
            Upgrade::Remap => access,
        };
        Ok(Ask {
            range,
            target,
            access: Allowed {
                asked: access,
                allow,
            },
        })
    }

    /// Finds the existing ranges in the place of `ask`, or fails if `ask` can't be mapped.
    fn overlap(&self, ask: &Ask) -> Result<Overlap, WindowError> {
        let mut to_unmap = Vec::new();
        for entry in self.ranges.lock().overlapping(ask.range) {
            let live = entry.state == RangeState::Live;
            if live && entry.range != ask.range {
                return Err(WindowError::Overlap {
                    asked: ask.range,
                    live: entry.range,
                });
            }
            if live && entry.target == ask.target {
                return Ok(Overlap::Same(entry.access.allow));
            }
            to_unmap.push(entry.range);
        }
        Ok(Overlap::ToUnmap(to_unmap))
    }

    /// Unmaps the ranges in the place of a new mapping, and checks that one more mapping is
    /// allowed.
    fn make_room(
        &self,
        operation: &mut Operation<'_>,
        to_unmap: &[WindowRange],
    ) -> Result<(), WindowError> {
        for range in to_unmap {
            self.unmap(operation, *range)
                .map_err(|source| WindowError::Indeterminate {
                    range: *range,
                    source,
                })?;
            self.stats.replaced.count();
        }
        let limit = self.options.max_ranges.min(self.budget.mappings());
        if self.ranges.lock().len() >= limit {
            return Err(WindowError::NoRangeLeft { limit });
        }
        if !self.budget.has_room() {
            // Waits for regions that are about to become free.
            self.fence(operation)?;
            if !self.budget.has_room() {
                return Err(WindowError::NoRegionLeft {
                    in_use: self.budget.in_use(),
                    limit: self.budget.limit(),
                });
            }
        }
        Ok(())
    }

    fn map(&self, operation: &mut Operation<'_>, held: Held, ask: Ask) -> Result<(), WindowError> {
        let Ask {
            range,
            target,
            access,
        } = ask;
        let (at, from) = (range.start(), target.from);
        let view = Arc::clone(&held.view);
        self.ranges
            .lock()
            .start_mapping(range, target, access, held);
        match self
            .vmm
            .map(at, range.len(), view.as_fd(), from, access.allow)
        {
            Ok(()) => {
                operation.operations.unfenced = false;
                self.step(at, RangeEvent::Mapped);
                self.stats.mapped.count();
                Ok(())
            }
            Err(error) => {
                self.stats.failed_maps.count();
                match error.effect() {
                    Effect::Nothing => self.step(at, RangeEvent::MapRefused),
                    Effect::Unknown => {
                        self.step(at, RangeEvent::MapLost);
                        // If this fails too, the range stays indeterminate, and the first error is
                        // returned.
                        let _ = self.unmap(operation, range);
                    }
                }
                Err(error.into())
            }
        }
    }
}

/// Opens the file behind `file` for writing; `None` if it is open for that already.
///
/// Only a regular file is opened: to open a device can have effects.
fn reopen_for_writing(file: BorrowedFd<'_>) -> Result<Option<OwnedFd>, ViewError> {
    if check_descriptor(file, Access::ReadWrite).is_ok() {
        return Ok(None);
    }
    check_descriptor(file, Access::ReadOnly)?;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
        .map(Some)
        .map_err(|errno| match errno {
            Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY => {
                ViewError::NotAllowed(Access::ReadWrite)
            }
            other => ViewError::System {
                what: "open a file again for writing",
                source: other.into(),
            },
        })
}
