// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! SETUPMAPPING, REMOVEMAPPING, and the clearing of the window.
//!
//! Everything here may wait for QEMU, and QEMU may be waiting for the control thread. So a request
//! enters by [`WindowSide::operate`], which takes it off its ring first (see
//! [`crate::ring::quiesce`]). The control thread only ever calls [`WindowFiles::mark_stale`], which
//! does not block.
//!
//! One operation runs at a time. It holds the [`WindowOperations`], and checks its ring again once
//! it holds them. So once INIT has cleared the window for a new driver, no request of an old driver
//! can map: that request either finished before INIT got the operations, or finds its ring stopped
//! or started anew. The thread for the window ([`super::thread`]) does not own the window: INIT and
//! DESTROY clear it from their queue's thread, since the thread for the window may be waiting, without
//! the operations, for a ring that is stopped; and a VMM that answers at once is asked by the thread
//! that has the request.
//!
//! The window is cleared
//! * by INIT, before it reaches the file system: INIT always means a new driver;
//! * by DESTROY: Linux removes no mapping at umount;
//! * after `RESET_DEVICE`, by the next request. Not earlier: the device is being stopped then, and
//!   QEMU would not survive the messages (`shared_window`'s `VhostUserShmem`).

use std::sync::Arc;

use parking_lot::Mutex;
use shared_window::{Access, RemoveRange, SetupRange, ViewSource, Vmm, Window, WindowError};
use virtiofsd::filesystem::FileSystem;

use super::census::Census;
use super::error::SetupError;
use super::files::{OpenFile, WindowFiles};
use super::locate::Locate;
use crate::fs::Dax;
use crate::log::{ErrorChain, LogLimit};
use crate::metrics::Metrics;
use crate::ring::quiesce::{Abandoned, InFlightGuard, RequestState};

/// The window, and the part of the file system that it needs.
pub(crate) struct WindowSide<F, M: Vmm, S: ViewSource> {
    files: Arc<WindowFiles<F, M, S>>,
    operations: Mutex<WindowOperations<F, M, S>>,
}

impl<F: FileSystem, M: Vmm, S: ViewSource> WindowSide<F, M, S> {
    pub(crate) fn new(
        fs: Arc<F>,
        dax: Arc<Dax<S>>,
        window: Window<M, S>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let files = Arc::new(WindowFiles::new(fs, dax, window, metrics));
        let operations = WindowOperations {
            files: Arc::clone(&files),
            locator: None,
            census: None,
            log_limit: LogLimit::default(),
        };
        Self {
            files,
            operations: Mutex::new(operations),
        }
    }

    /// Lets `census` count the machine's regions.
    pub(crate) fn count_with(mut self, census: Arc<Census>) -> Self {
        self.operations.get_mut().census = Some(census);
        self
    }

    /// Lets `locator` find the window's address.
    pub(crate) fn locate_with(mut self, locator: Box<dyn Locate>) -> Self {
        self.operations.get_mut().locator = Some(locator);
        self
    }

    /// The part that needs no operation.
    pub(crate) fn files(&self) -> &WindowFiles<F, M, S> {
        &self.files
    }

    /// Takes the request off its ring and runs `operation`, when no other operation runs.
    ///
    /// # Errors
    /// If the request's ring was reset. The operation may or may not have run.
    pub(crate) fn operate<T>(
        &self,
        guard: &mut InFlightGuard,
        operation: impl FnOnce(&WindowOperations<F, M, S>) -> T,
    ) -> Result<T, Abandoned> {
        guard.enter_window();
        let result = loop {
            let operations = self.operations.lock();
            match guard.request_state() {
                RequestState::Current => break operation(&operations),
                RequestState::Abandoned => return Err(Abandoned),
                RequestState::Paused => {
                    drop(operations);
                    guard.wait_while_paused()?;
                }
            }
        };
        guard.leave_window()?;
        Ok(result)
    }
}

/// The operations on the window. Their mutex makes each one exclusive.
pub(crate) struct WindowOperations<F, M: Vmm, S: ViewSource> {
    files: Arc<WindowFiles<F, M, S>>,
    /// Finds the window's address, if that is needed.
    locator: Option<Box<dyn Locate>>,
    census: Option<Arc<Census>>,
    log_limit: LogLimit,
}

impl<F: FileSystem, M: Vmm, S: ViewSource> WindowOperations<F, M, S> {
    /// Maps a range of a file.
    pub(crate) fn set_up(
        &self,
        file: Result<OpenFile, SetupError>,
        range: SetupRange,
    ) -> Result<(), SetupError> {
        let OpenFile { node, driver, view } = file?;
        if !self.files.is_current(driver) {
            return Err(SetupError::Cleared { node });
        }
        if let Some(census) = &self.census {
            census.look_again();
        }
        if !self.files.dax.negotiated.may_map() {
            return Err(SetupError::Unusable { node });
        }
        let window = self.files.window();
        window
            .setup_view(&view, range)
            .map_err(|source| SetupError::Window { node, source })?;
        if range.access == Access::ReadWrite {
            self.files
                .dax
                .written
                .mapped(node, range.window.0, range.len);
        }
        Ok(())
    }

    /// Removes ranges. Tries all of them, also after a failure.
    pub(crate) fn remove(&self, ranges: &[RemoveRange]) -> Result<(), WindowError> {
        self.files.metrics.removals.count();
        for range in ranges {
            self.files.dax.written.unmapped(range.window.0, range.len);
        }
        self.files.window().remove(ranges).inspect_err(|error| {
            self.log_limit.warn(format_args!(
                "cannot remove mappings: {}",
                ErrorChain(error)
            ));
        })
    }

    /// Unmaps everything and drops every view.
    pub(crate) fn clear(&self) {
        self.files.metrics.clears.count();
        self.files.begin_driver();
        if let Err(error) = self.files.window().clear() {
            // A range that could not be unmapped can't be mapped anew until it is unmapped.
            self.log_limit.warn(format_args!(
                "cannot clear the window: {}",
                ErrorChain(&error)
            ));
        }
        self.files.dax.forget_all();
    }

    /// Clears the window for a new driver, and finds its address.
    pub(crate) fn begin(&self) {
        self.clear();
        if let Some(locator) = &self.locator {
            locator.locate();
        }
    }

    /// Clears the window if it is stale.
    pub(crate) fn sweep(&self) {
        if self.files.is_stale() {
            self.clear();
        }
    }
}
