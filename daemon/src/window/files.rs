// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The files that are mapped or will be: how a file is opened for the window, and which views are
//! cached.
//!
//! None of this is a window operation. To open a file takes as long as its file system likes, so
//! separate threads do it ([`super::openers`]), which hold nothing that an operation needs. A file
//! that was requested before a clear is not mapped after it, nor is its view cached: a request
//! carries the number of its *driver*, and each clear begins a new driver.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shared_window::{Access, FileKey, View, ViewError, ViewSource, Vmm, Window};
use virtiofsd::filesystem::{Context, FileSystem};

use crate::fs::catch_panic::catch_panic;
use crate::fs::{Dax, NodeCache, NodeId, is_trouble, kill_privileges, with_file};
use crate::log::{ErrorChain, LogLimit};
use crate::metrics::Metrics;
use crate::window::error::{Broken, SetupError};

/// The driver that a request came from: the number of clears before the request was read, including
/// one that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DriverNumber(u64);

/// A file that a request wants mapped.
pub(crate) struct FileToOpen {
    pub(crate) context: Context,
    pub(crate) node: NodeId,
    /// The guest has declared that it will store.
    pub(crate) for_writing: bool,
    /// The driver of the request.
    pub(crate) driver: DriverNumber,
}

impl FileToOpen {
    /// The file `node` for a SETUPMAPPING of this access.
    pub(crate) fn new(
        context: Context,
        node: NodeId,
        access: Access,
        driver: DriverNumber,
    ) -> Self {
        Self {
            context,
            node,
            for_writing: access == Access::ReadWrite,
            driver,
        }
    }
}

/// A file that can be mapped.
pub(crate) struct OpenFile {
    pub(super) node: NodeId,
    pub(super) driver: DriverNumber,
    pub(super) view: Arc<View>,
}

/// A window, and the state that it shares with the file system.
pub(crate) struct WindowFiles<F, M: Vmm, S: ViewSource> {
    fs: Arc<F>,
    pub(super) dax: Arc<Dax<S>>,
    window: Window<M, S>,
    pub(super) metrics: Arc<Metrics>,
    stale: AtomicBool,
    /// How often the window has been cleared.
    clears: AtomicU64,
    log_limit: LogLimit,
}

impl<F: FileSystem, M: Vmm, S: ViewSource> WindowFiles<F, M, S> {
    pub(super) fn new(
        fs: Arc<F>,
        dax: Arc<Dax<S>>,
        window: Window<M, S>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            fs,
            dax,
            window,
            metrics,
            stale: AtomicBool::new(false),
            clears: AtomicU64::new(0),
            log_limit: LogLimit::default(),
        }
    }

    /// The window itself.
    pub(crate) fn window(&self) -> &Window<M, S> {
        &self.window
    }

    /// Files with a cached view.
    pub(crate) fn kept_views(&self) -> &NodeCache<Arc<View>> {
        &self.dax.views
    }

    /// The driver of a request that is read now. If a clear is due, it comes before the request.
    pub(crate) fn driver(&self) -> DriverNumber {
        let due = u64::from(self.is_stale());
        DriverNumber(self.clears.load(Ordering::SeqCst) + due)
    }

    pub(super) fn is_current(&self, driver: DriverNumber) -> bool {
        driver == DriverNumber(self.clears.load(Ordering::SeqCst))
    }

    /// The file, if it needs no call to the host.
    pub(crate) fn kept(&self, file: &FileToOpen) -> Option<OpenFile> {
        if self.kills_privileges(file) {
            return None;
        }
        self.kept_open(file)
    }

    fn kept_open(&self, file: &FileToOpen) -> Option<OpenFile> {
        Some(OpenFile {
            node: file.node,
            driver: file.driver,
            view: self.dax.views.get(file.node)?,
        })
    }

    /// The file, opened if necessary. Not an operation: this may hang.
    pub(crate) fn open(&self, file: &FileToOpen) -> Result<OpenFile, SetupError> {
        if self.kills_privileges(file) {
            self.kill_privileges(file)?;
        }
        if let Some(kept) = self.kept_open(file) {
            return Ok(kept);
        }
        let &FileToOpen { node, driver, .. } = file;
        let view = self.view(file)?;
        let still = || self.is_current(driver);
        self.dax.views.put_if(node, Arc::clone(&view), still);
        Ok(OpenFile { node, driver, view })
    }

    /// Counts and logs a refused mapping, and revokes the promises that can't be kept. This may ask
    /// the host about the file. Returns the errno for the guest.
    pub(crate) fn refuse(&self, context: Context, node: NodeId, error: &SetupError) -> i32 {
        let verdict = error.verdict();
        self.metrics.refusals.of(verdict.refusal).count();
        self.log_limit.warn(ErrorChain(error));
        let eligibility = &self.dax.eligibility;
        match verdict.broken {
            Broken::None => {}
            Broken::File => eligibility.revoke(node),
            Broken::FileAndLooks => {
                eligibility.forget_all();
                eligibility.revoke(node);
            }
            // The device's are revoked for a while.
            Broken::FileAndDevice => {
                eligibility.revoke(node);
                eligibility.doubt_device_of(&*self.fs, context, node);
            }
            Broken::Views => self.dax.negotiated.lose_views(),
            Broken::Channel => self.dax.negotiated.lose_channel(),
        }
        verdict.errno
    }

    /// Whether the file's set-user-ID and capabilities have to be cleared before it is mapped: a
    /// store sends no request at which they could be cleared later.
    fn kills_privileges(&self, file: &FileToOpen) -> bool {
        file.for_writing && self.dax.kills_privileges.load(Ordering::Relaxed)
    }

    fn kill_privileges(&self, file: &FileToOpen) -> Result<(), SetupError> {
        let &FileToOpen { context, node, .. } = file;
        catch_panic(|| kill_privileges(&*self.fs, context, node))
            .unwrap_or_else(|panicked| {
                self.metrics.panics.count();
                Err(io::Error::other(panicked))
            })
            .map_err(|source| SetupError::Open { node, source })
    }

    /// A view that allows as much as the window does. Or a view for reading, if no more is possible
    /// and the VMM enforces it for its guest.
    fn view(&self, file: &FileToOpen) -> Result<Arc<View>, SetupError> {
        let &FileToOpen { context, node, .. } = file;
        let eligibility = &self.dax.eligibility;
        if eligibility.is_only_to_read(node) {
            return self.view_for(context, node, Access::ReadOnly);
        }
        match self.view_for(context, node, self.window.access()) {
            Err(SetupError::Open { source, .. })
                if !is_trouble(&source)
                    && !file.for_writing
                    && eligibility.may_map_for_reading(node) =>
            {
                self.view_for(context, node, Access::ReadOnly)
            }
            opened => opened,
        }
    }

    fn view_for(
        &self,
        context: Context,
        node: NodeId,
        access: Access,
    ) -> Result<Arc<View>, SetupError> {
        let flags = match access {
            Access::ReadOnly => libc::O_RDONLY,
            Access::ReadWrite => libc::O_RDWR,
        };
        let opened = catch_panic(|| with_file(&*self.fs, context, node, flags, duplicate));
        let file = opened
            .unwrap_or_else(|panicked| {
                self.metrics.panics.count();
                Err(io::Error::other(panicked))
            })
            .map_err(|source| SetupError::Open { node, source })?;
        self.metrics.files_opened.count();
        if let Some(observer) = self.metrics.observer() {
            observer.opened(node, file.as_fd());
        }
        let view = self
            .window
            .view(FileKey::numbered(node.0), file.as_fd(), access)
            .map_err(|source| SetupError::Window { node, source })?;
        if access == Access::ReadWrite {
            self.dax
                .eligibility
                .prove_writing(file.as_fd(), view.as_fd())
                .map_err(|error| SetupError::Window {
                    node,
                    source: unusable_view(error).into(),
                })?;
        }
        self.dax.lost_stores.view_opened(node, &view);
        Ok(view)
    }

    /// Counts and logs the lost pages that the VMM has reported, also while the guest sends no
    /// request.
    pub(crate) fn hear_of_lost_pages(&self) {
        self.dax.lost_stores.hear();
    }

    /// Marks the window as that of an earlier driver. For the control thread.
    pub(crate) fn mark_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// Whether a sweep is due before anything else.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Begins a new driver: from here on files that were opened before are neither mapped nor
    /// cached.
    pub(super) fn begin_driver(&self) {
        self.clears.fetch_add(1, Ordering::SeqCst);
        self.stale.store(false, Ordering::Release);
    }
}

/// The error for a view that could not be mapped here in the way that the VMM would map it.
fn unusable_view(source: io::Error) -> ViewError {
    if is_trouble(&source) {
        let what = "map a view";
        return ViewError::System { what, source };
    }
    ViewError::Unsupported(source)
}

/// Keeps the file open beyond [`with_file`]. The view source checks its type itself.
fn duplicate(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    file.try_clone_to_owned()
}
