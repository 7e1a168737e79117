// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The window: takes the guest's requests, keeps the table, drives the VMM.
//!
//! # Rules
//! - All mappings allow the same access ([`WindowOptions::access`]). That is write access, unless
//!   the VMM keeps a guest from storing through a read-only mapping, which QEMU 11.1 does not. A
//!   later upgrade would need UNMAP + MAP, a hole under readers on other processors. So a file that
//!   may not be written is refused, and an upgrade has nothing to do. If the VMM does enforce
//!   read-only mappings ([`Window::set_enforces_read_only`]), such a file is mapped for reading,
//!   and an upgrade is refused.
//! - A repeated request for a live mapping changes nothing.
//! - A request for another file or offset in exactly the range of a live mapping replaces it. Linux
//!   sends one only after a removal that failed, and then it no longer uses the old mapping. Any
//!   other overlap with a live mapping is refused.
//! - A removal removes the mappings that lie wholly within it. It changes nothing if it would cut
//!   one, or if there is none. The ranges of a batch are independent of each other.
//! - A range whose state at the VMM became unknown is refused until an unmap of it has succeeded.
//!   Each later request for the range tries that unmap first.
//!
//! # Locks
//! One operation runs at a time: it holds a mutex during calls to the VMM. Therefore nothing here
//! may be called from a thread that the VMM may be waiting for, except [`Window::stats`],
//! [`Window::snapshot`] and the result of [`Window::live_ranges`]. These take the table's own lock,
//! which is held for one look or one move.

mod error;
mod handler;
mod options;
mod remove;
mod setup;
mod stats;

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::budget::RegionBudget;
use crate::live::{LiveRanges, Mapping};
use crate::mapped::MappedFiles;
use crate::table::RangeEvent;
use crate::units::{Access, WindowOffset, WindowRange, WindowSize};
use crate::view::{FileKey, View, ViewCache, ViewSource};
use crate::vmm::Vmm;

pub use error::WindowError;
pub use options::{Reopen, Upgrade, WindowOptions};
pub use remove::RemoveRange;
pub use setup::SetupRange;
use stats::Stats;
pub use stats::WindowStats;

/// A window. Clones are handles of the same window.
pub struct Window<M: Vmm, S: ViewSource> {
    inner: Arc<Inner<M, S>>,
}

struct Inner<M, S> {
    size: WindowSize,
    vmm: M,
    views: S,
    budget: Arc<RegionBudget>,
    options: WindowOptions,
    cache: ViewCache,
    mapped: MappedFiles,
    stats: Stats,
    /// Held during an operation.
    operations: Mutex<Operations>,
    /// All ranges that are not free. Only an operation changes it.
    ranges: Arc<LiveRanges>,
    /// The VMM enforces that read-only mappings are not written.
    enforces_read_only: AtomicBool,
}

/// State that one operation leaves to the next.
struct Operations {
    /// Removals were acknowledged and may not be in effect yet.
    unfenced: bool,
}

/// An operation under way.
struct Operation<'a> {
    operations: MutexGuard<'a, Operations>,
    ranges: &'a LiveRanges,
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The VMM panicked in a call, whose result is unknown.
            self.ranges.lock().abandon_calls();
        }
    }
}

impl<M: Vmm, S: ViewSource> Window<M, S> {
    /// An empty window.
    pub fn new(size: WindowSize, vmm: M, views: S, budget: Arc<RegionBudget>) -> Self {
        Self::with_options(size, vmm, views, budget, WindowOptions::default())
    }

    /// An empty window that behaves as `options` say.
    pub fn with_options(
        size: WindowSize,
        vmm: M,
        views: S,
        budget: Arc<RegionBudget>,
        options: WindowOptions,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                size,
                vmm,
                views,
                budget,
                options,
                cache: ViewCache::new(),
                mapped: MappedFiles::default(),
                stats: Stats::default(),
                operations: Mutex::new(Operations { unfenced: false }),
                ranges: Arc::new(LiveRanges::new()),
                enforces_read_only: AtomicBool::new(false),
            }),
        }
    }

    /// The size of the window.
    pub fn size(&self) -> WindowSize {
        self.inner.size
    }

    /// The access of every mapping.
    pub fn access(&self) -> Access {
        self.inner.options.access
    }

    /// Sets whether the VMM enforces that read-only mappings are not written. The default is that
    /// it does not. If it does, a view for reading can be mapped in a window whose other mappings
    /// can be written; no later request makes it writable. Does not block.
    pub fn set_enforces_read_only(&self, enforces: bool) {
        let flag = &self.inner.enforces_read_only;
        flag.store(enforces, Ordering::Release);
    }

    /// The VMM behind the window.
    pub fn vmm(&self) -> &M {
        &self.inner.vmm
    }

    /// The mapped places of files. Calls on it never wait for the VMM.
    pub fn mapped_files(&self) -> &MappedFiles {
        &self.inner.mapped
    }

    /// The view of `file` for `access`: the open one of this `key` if it is still held, else a new
    /// one.
    ///
    /// A server that has a number for each file passes the number as the key. That is exact also if
    /// two files of the host have equal inode numbers. A server that keeps the view beside its
    /// inode saves the search of [`Window::setup`].
    ///
    /// # Errors
    /// [`WindowError::View`].
    pub fn view(
        &self,
        key: FileKey,
        file: BorrowedFd<'_>,
        access: Access,
    ) -> Result<Arc<View>, WindowError> {
        let inner = &self.inner;
        match inner.cache.get(key, file, access, &inner.views) {
            Ok(found) => {
                if found.opened {
                    inner.stats.views_opened.count();
                }
                Ok(found.view)
            }
            Err(error) => {
                inner.stats.failed_views.count();
                Err(error.into())
            }
        }
    }

    /// The window's statistics so far. Never waits for the VMM.
    pub fn stats(&self) -> WindowStats {
        self.inner.stats.snapshot(&self.inner.ranges.lock())
    }

    /// The ranges, for threads that must not wait for the VMM.
    pub fn live_ranges(&self) -> Arc<LiveRanges> {
        Arc::clone(&self.inner.ranges)
    }

    /// All ranges that are not free, in order, as they are now. Never waits for the VMM.
    pub fn snapshot(&self) -> Vec<Mapping> {
        self.inner.ranges.snapshot()
    }
}

/// What the operations have in common. An operation locks the table for each look and each move.
/// Each call to the VMM lies between two moves of the table's state machine. So at any moment, also
/// after a panic in the call, the table says which mappings the VMM may have.
impl<M, S> Inner<M, S> {
    /// Waits for the operation under way, and begins one.
    fn begin(&self) -> Operation<'_> {
        let operations = self.operations.lock();
        Operation {
            // The table has the state of a call that panicked.
            operations: operations.unwrap_or_else(PoisonError::into_inner),
            ranges: &self.ranges,
        }
    }

    fn bounds(&self, window: WindowOffset, len: u64) -> Result<WindowRange, WindowError> {
        WindowRange::new(window, len)
            .filter(|range| range.end().0 <= self.size.bytes())
            .ok_or(WindowError::OutOfBounds {
                window,
                len,
                size: self.size,
            })
    }

    /// Applies an event to a range. An illegal transition is a bug of this module; no guest or VMM
    /// can cause one. The range then stays as it is, which refuses rather than allows.
    fn step(&self, at: WindowOffset, event: RangeEvent) {
        let moved = self.ranges.lock().apply(at, event);
        match moved {
            // Dropped without the lock: this may be the last holder of the view.
            Ok(released) => drop(released),
            Err(illegal) => {
                debug_assert!(false, "{illegal}");
                log::error!("window table: {illegal} at {at}");
            }
        }
    }

    fn count_outcome(&self, outcome: &Result<(), WindowError>) {
        match outcome {
            Err(WindowError::NoRegionLeft { .. } | WindowError::NoRangeLeft { .. }) => {
                self.stats.refused_for_regions.count()
            }
            // These are counted where they happen.
            Ok(()) | Err(WindowError::Vmm(_) | WindowError::View(_)) => {}
            Err(_) => self.stats.refused_requests.count(),
        }
    }
}

impl<M: Vmm, S: ViewSource> Clone for Window<M, S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<M: Vmm, S: ViewSource> fmt::Debug for Window<M, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("size", &self.inner.size)
            .field("options", &self.inner.options)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
