// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! SETUPMAPPING, REMOVEMAPPING, and when the window is cleared.
//!
//! Everything here may wait for QEMU, and QEMU may be waiting for the control thread. So a request
//! enters by [`WindowSide::operate`], which takes it off its ring first (see [`crate::ring::quiesce`]), and
//! the control thread only ever calls [`WindowSide::mark_stale`], which waits for nothing.
//!
//! One operation at a time holds the *turn*, and looks again at its ring when it has it. So once
//! INIT has cleared the window for a new driver, no request of an old one can map into it: that
//! request either finished before INIT got the turn, or finds its ring stopped or started anew.
//!
//! A file is opened before the turn, since that takes as long as its file system likes. What was
//! asked for before a clear is not mapped after it, nor is its view kept: a request bears the number
//! of the *driver* that it came from, and each clear begins a new one.
//!
//! The window is cleared
//! * by INIT, before it reaches the file system: the sure sign of a new driver;
//! * by DESTROY: Linux removes no mapping at umount;
//! * after `RESET_DEVICE`, by the first request that comes. Not before: the device is being
//!   stopped then, and QEMU would not survive the messages (see [`crate::ring::pause`]).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fuse_backend_rs::abi::virtio_fs::{RemovemappingOne, SetupmappingFlags, SetupmappingIn};
use parking_lot::Mutex;
use shared_window::{
    Access, FileKey, FileOffset, RemoveRange, SetupRange, View, ViewError, ViewSource, Vmm,
    VmmError, Window, WindowError, WindowOffset,
};
use virtiofsd::filesystem::{Context, FileSystem};

use crate::fs::catch_panic::catch_panic;
use crate::fs::{
    Dax, NodeCache, NodeId, is_trouble, is_trouble_with_view, kill_privileges, with_file,
};
use crate::log::{ErrorChain, LogLimit};
use crate::metrics::{Metrics, Refusal};
use crate::ring::quiesce::{Abandoned, InFlightGuard, RequestState};
use crate::window::census::Census;
use crate::window::locate::Locate;

/// Why a mapping was not set up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// The file cannot be opened for reading and writing. QEMU would not enforce less.
    #[error("node {} cannot be opened for the window", .node.0)]
    Open {
        /// The file.
        node: NodeId,
        /// What the file system said.
        #[source]
        source: io::Error,
    },
    /// The window was cleared after the guest had asked for it.
    #[error("node {} was asked for before the window was cleared", .node.0)]
    Cleared {
        /// The file.
        node: NodeId,
    },
    /// It is not known where the window is, or whether the VMM leaves a file as it is.
    #[error("node {} is not mapped: the window can't be used, as was said", .node.0)]
    Unusable {
        /// The file.
        node: NodeId,
    },
    /// The window refused, or the VMM.
    #[error("node {} cannot be mapped", .node.0)]
    Window {
        /// The file.
        node: NodeId,
        /// What the window said.
        #[source]
        source: WindowError,
    },
}

impl SetupError {
    /// What the guest is told.
    pub(crate) fn errno(&self) -> i32 {
        match self {
            Self::Open { source, .. } if is_trouble(source) => libc::EIO,
            // EROFS, ETXTBSY and the like would puzzle the reader of a mapping.
            Self::Open { .. } => libc::EACCES,
            Self::Cleared { .. } => libc::EIO,
            Self::Unusable { .. } => libc::ENOBUFS,
            Self::Window { source, .. } => source.errno(),
        }
    }
}

impl From<&SetupError> for Refusal {
    fn from(error: &SetupError) -> Self {
        match error {
            SetupError::Open { .. } | SetupError::Cleared { .. } => Self::Open,
            SetupError::Unusable { .. } => Self::RegionBudget,
            SetupError::Window { source, .. } => match source {
                WindowError::View(_) | WindowError::NotWritable(_) | WindowError::LosingPages => {
                    Self::View
                }
                WindowError::NoRegionLeft { .. } | WindowError::NoRangeLeft { .. } => {
                    Self::RegionBudget
                }
                WindowError::Overlap { .. } => Self::Overlap,
                WindowError::Indeterminate { .. } => Self::Indeterminate,
                WindowError::Vmm(_) => Self::Vmm,
                WindowError::OutOfBounds { .. }
                | WindowError::FileOffsetTooLarge { .. }
                | WindowError::Misaligned { .. }
                | WindowError::Unknown(_)
                | WindowError::Partial { .. } => Self::Bounds,
            },
        }
    }
}

/// The driver that a request came from: how often the window had been cleared, or was to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DriverNumber(u64);

/// A file that a request wants mapped.
pub(crate) struct FileToOpen {
    pub(crate) context: Context,
    pub(crate) node: NodeId,
    /// The guest says that it will store.
    pub(crate) for_writing: bool,
    /// Who asks.
    pub(crate) driver: DriverNumber,
}

/// A file that can be mapped.
pub(crate) struct OpenFile {
    node: NodeId,
    driver: DriverNumber,
    view: Arc<View>,
}

/// The window and what it needs of the file system.
pub(crate) struct WindowSide<F, M: Vmm, S: ViewSource> {
    fs: Arc<F>,
    dax: Arc<Dax<S>>,
    window: Window<M, S>,
    metrics: Arc<Metrics>,
    /// Held during every window operation.
    turn: Mutex<()>,
    stale: AtomicBool,
    /// How often it has been cleared.
    clears: AtomicU64,
    /// What has to know where the window is, if anything has.
    locator: Option<Box<dyn Locate>>,
    log_limit: LogLimit,
    census: Option<Arc<Census>>,
}

impl<F: FileSystem, M: Vmm, S: ViewSource> WindowSide<F, M, S> {
    pub(crate) fn new(
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
            turn: Mutex::new(()),
            stale: AtomicBool::new(false),
            clears: AtomicU64::new(0),
            locator: None,
            log_limit: LogLimit::default(),
            census: None,
        }
    }

    /// The same, where the machine's regions are counted by `census`.
    pub(crate) fn counted_by(self, census: Arc<Census>) -> Self {
        Self {
            census: Some(census),
            ..self
        }
    }

    /// The same, which learns by `locator` where the window is.
    pub(crate) fn located_by(self, locator: Box<dyn Locate>) -> Self {
        Self {
            locator: Some(locator),
            ..self
        }
    }

    /// The window itself, to be looked at.
    pub(crate) fn window(&self) -> &Window<M, S> {
        &self.window
    }

    /// Files with a view that is kept.
    pub(crate) fn kept_views(&self) -> &NodeCache<Arc<View>> {
        &self.dax.views
    }

    /// Runs `operation` off the ring, when it is this request's turn.
    ///
    /// # Errors
    /// When the request's ring was reset; the operation may or may not have run.
    pub(crate) fn operate<T>(
        &self,
        guard: &mut InFlightGuard,
        operation: impl FnOnce(&Self) -> T,
    ) -> Result<T, Abandoned> {
        guard.enter_window();
        let result = loop {
            let turn = self.turn.lock();
            match guard.request_state() {
                RequestState::Current => break operation(self),
                RequestState::Abandoned => return Err(Abandoned),
                RequestState::Paused => {
                    drop(turn);
                    guard.wait_while_paused()?;
                }
            }
        };
        guard.leave_window()?;
        Ok(result)
    }

    /// The driver that a request comes from which is read now. A clear that is due comes before it.
    pub(crate) fn driver(&self) -> DriverNumber {
        let due = u64::from(self.is_stale());
        DriverNumber(self.clears.load(Ordering::SeqCst) + due)
    }

    fn is_current(&self, driver: DriverNumber) -> bool {
        driver == DriverNumber(self.clears.load(Ordering::SeqCst))
    }

    /// The file, if nothing has to be asked of the host.
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

    /// The file, opened if need be. Not an operation: it may hang.
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

    /// Maps a range of a file; an operation.
    pub(crate) fn set_up(
        &self,
        file: Result<OpenFile, SetupError>,
        wanted: &SetupmappingIn,
    ) -> Result<(), SetupError> {
        let result = file.and_then(|file| self.try_set_up(&file, wanted));
        match &result {
            Ok(()) => self.metrics.mappings_set_up.count(),
            Err(error) => {
                self.metrics.mappings_refused.count();
                self.metrics.refusals.of(error.into()).count();
                self.log_limit.warn(ErrorChain(error));
            }
        }
        result
    }

    /// Takes back what was promised and can't be kept: of this file where it is the file's fault, of
    /// its device's for a while where the VMM refused, of all where nothing can be mapped any more.
    /// What is only this request's fault (its range, the budget) takes nothing back. Not an operation:
    /// it may ask the host about the file.
    pub(crate) fn take_back(&self, context: Context, node: NodeId, error: &SetupError) {
        let eligibility = &self.dax.eligibility;
        match error {
            SetupError::Open { source, .. } if is_trouble(source) => {}
            // Nothing is promised while that lasts.
            SetupError::Unusable { .. } => {}
            SetupError::Open { source, .. } => {
                if source.raw_os_error() == Some(libc::EROFS) {
                    // What else was promised is as old as the mount was writable.
                    eligibility.forget_all();
                }
                eligibility.revoke(node);
            }
            SetupError::Window { source, .. } if source.is_loss_of_vmm() => {
                self.dax.negotiated.lose_channel();
            }
            SetupError::Cleared { .. } => {}
            SetupError::Window { source, .. } => match source {
                WindowError::View(ViewError::ServerGone | ViewError::Protocol(_)) => {
                    self.dax.negotiated.lose_views();
                }
                WindowError::View(error) if is_trouble_with_view(error) => {}
                WindowError::View(_) | WindowError::NotWritable(_) => eligibility.revoke(node),
                WindowError::Vmm(VmmError::Refused { .. }) => {
                    eligibility.revoke(node);
                    eligibility.doubt_device_of(&*self.fs, context, node);
                }
                _ => {}
            },
        }
    }

    fn try_set_up(&self, file: &OpenFile, wanted: &SetupmappingIn) -> Result<(), SetupError> {
        let OpenFile { node, driver, view } = file;
        let node = *node;
        if !self.is_current(*driver) {
            return Err(SetupError::Cleared { node });
        }
        if let Some(census) = &self.census {
            census.look_again();
        }
        if !self.dax.negotiated.may_map() {
            return Err(SetupError::Unusable { node });
        }
        let access = if for_writing(wanted) {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        };
        let range = SetupRange {
            window: WindowOffset(wanted.moffset),
            file: FileOffset(wanted.foffset),
            len: wanted.len,
            access,
        };
        let observer = self.metrics.observer();
        if let Some(observer) = observer {
            observer.about(node, view.file());
        }
        self.window
            .setup_view(view, range)
            .map_err(|source| SetupError::Window { node, source })?;
        if access == Access::ReadWrite {
            self.dax.written.mapped(node, range.window.0, range.len);
            if let Some(observer) = observer {
                observer.written_to(range.window);
            }
        }
        Ok(())
    }

    /// Whether the file's privileges go before it is mapped: a store makes no request by which they
    /// could go later.
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

    /// A view that allows as much as the window does, or one for reading where there can be no more and
    /// the VMM keeps its guest to that.
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

    /// Counts and logs what the VMM has reported of lost pages, also while the guest asks nothing.
    pub(crate) fn hear_of_lost_pages(&self) {
        self.dax.lost_stores.hear();
    }

    /// Removes ranges; an operation. All of them are tried.
    pub(crate) fn remove(&self, ranges: &[RemovemappingOne]) -> Result<(), WindowError> {
        self.metrics.removals.count();
        let ranges: Vec<_> = ranges
            .iter()
            .map(|range| RemoveRange {
                window: WindowOffset(range.moffset),
                len: range.len,
            })
            .collect();
        for range in &ranges {
            self.dax.written.unmapped(range.window.0, range.len);
        }
        self.window.remove(&ranges).inspect_err(|error| {
            self.log_limit.warn(format_args!(
                "cannot remove mappings: {}",
                ErrorChain(error)
            ));
        })
    }

    /// Unmaps everything and lets go of every file; an operation.
    pub(crate) fn clear(&self) {
        self.metrics.clears.count();
        // First: from here on what was opened before is neither mapped nor kept.
        self.clears.fetch_add(1, Ordering::SeqCst);
        self.stale.store(false, Ordering::Release);
        if let Err(error) = self.window.clear() {
            // What could not be unmapped stays refused for new mappings until it can.
            self.log_limit.warn(format_args!(
                "cannot clear the window: {}",
                ErrorChain(&error)
            ));
        }
        self.dax.forget_all();
    }

    /// Clears the window for a new driver, and learns where it is; an operation.
    pub(crate) fn begin(&self) {
        self.clear();
        if let Some(locator) = &self.locator {
            locator.locate();
        }
    }

    /// Says that the window belongs to a driver that is gone. For the control thread.
    pub(crate) fn mark_stale(&self) {
        self.stale.store(true, Ordering::Release);
    }

    /// Whether [`Self::sweep`] is due before anything else.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Acquire)
    }

    /// Clears the window if it is stale; an operation.
    pub(crate) fn sweep(&self) {
        if self.is_stale() {
            self.clear();
        }
    }
}

/// Whether the guest says that it will store into the range.
pub(crate) fn for_writing(wanted: &SetupmappingIn) -> bool {
    wanted.flags & SetupmappingFlags::WRITE.bits() != 0
}

/// A view that could not be mapped here, as the VMM would map it.
fn unusable_view(source: io::Error) -> ViewError {
    if is_trouble(&source) {
        let what = "map a view";
        return ViewError::System { what, source };
    }
    ViewError::Unsupported(source)
}

/// Keeps the file open beyond [`with_file`]; the view source looks at its type itself.
fn duplicate(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    file.try_clone_to_owned()
}
