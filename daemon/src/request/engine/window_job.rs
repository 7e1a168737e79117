// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests that the thread for the window serves.

use shared_window::{ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;

use super::Engine;
use crate::request::message::{ParsedRequest, Work};
use crate::ring::Ring;
use crate::ring::vring::Notify;
use crate::window::files::{FileToOpen, OpenFile, SetupError};
use crate::window::operations::WindowSide;
use crate::window::thread::{WindowService, WindowThread};

/// A request that waits for the thread for the window.
pub(crate) struct WindowJob {
    pub(crate) ring: Ring,
    pub(crate) request: ParsedRequest,
    /// The file that is to be mapped, if it is open or could not be opened.
    pub(crate) file: Option<Result<OpenFile, SetupError>>,
}

impl<F, M, S> Engine<F, M, S>
where
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
    /// Whether the request is served by the thread for the window; it has stepped aside for that then,
    /// and touches neither ring nor guest memory until it has its ring back.
    pub(crate) fn enters_window(&self, request: &mut ParsedRequest) -> bool {
        let Ok(message) = &request.message else {
            return false;
        };
        let enters = matches!(message.work, Work::Map(_) | Work::Unmap(_))
            && self.stray(message, request.resubmitted).is_none();
        if enters {
            request.guard.enter_window();
        }
        enters
    }

    /// Hands a request that [`Self::enters_window`] over to the thread for the window. A file that is not
    /// open is opened before; requests for a file that is being opened wait for that as well, to keep
    /// their order.
    pub(crate) fn queue(
        &self,
        thread: &WindowThread<WindowJob>,
        ring: &Ring,
        request: ParsedRequest,
    ) {
        let to_open = self.file_to_map(&request);
        let mut job = WindowJob {
            ring: ring.clone(),
            request,
            file: None,
        };
        let Some((window, file)) = to_open else {
            return thread.run(job);
        };
        if !thread.opens(file.node)
            && let Some(open) = window.files().kept(&file)
        {
            job.file = Some(Ok(open));
            return thread.run(job);
        }
        thread.open_and_run(file, job);
    }

    fn file_to_map(&self, request: &ParsedRequest) -> Option<(&WindowSide<F, M, S>, FileToOpen)> {
        let (window, message) = (self.window.as_ref()?, request.message.as_ref().ok()?);
        let Work::Map(range) = &message.work else {
            return None;
        };
        let driver = window.files().driver();
        let file = FileToOpen::new(message.context(), message.node(), range, driver);
        Some((window, file))
    }
}

impl<F, M, S> WindowService<WindowJob> for Engine<F, M, S>
where
    F: FileSystem + Send + Sync + 'static,
    M: Vmm + 'static,
    S: ViewSource + 'static,
{
    fn open(&self, file: &FileToOpen, job: &mut WindowJob) {
        job.file = self.window().map(|window| window.files().open(file));
    }

    fn serve_window(&self, job: WindowJob) {
        let WindowJob {
            ring,
            request,
            file,
        } = job;
        self.serve_with(&ring, request, file, Notify::Now);
    }
}
