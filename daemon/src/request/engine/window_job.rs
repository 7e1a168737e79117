// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests that the thread for the window serves.

use shared_window::{ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;

use super::Engine;
use crate::metrics::Trait;
use crate::request::message::{ParsedRequest, Work};
use crate::ring::Ring;
use crate::ring::vring::Notify;
use crate::window::files::{FileToOpen, OpenFile, SetupError};
use crate::window::operations::WindowSide;
use crate::window::thread::{OneUnderWay, WindowService, WindowThread};

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

    /// Serves a request that [`Self::enters_window`] if the VMM answers soon and no other request of the
    /// window is under way; else hands it over to the thread for the window. Whether it was served. A file
    /// that is not open is opened before, on a thread for that; requests for a file that is being opened
    /// wait for that as well, to keep their order.
    pub(crate) fn serve_or_queue(
        &self,
        thread: &WindowThread<WindowJob>,
        ring: &Ring,
        request: ParsedRequest,
        notify: Notify,
    ) -> bool {
        let job = |request, file| WindowJob {
            ring: ring.clone(),
            request,
            file,
        };
        let mut file = None;
        if let Some((window, wanted)) = self.file_to_map(&request) {
            if !thread.opens(wanted.node) {
                file = window.files().kept(&wanted).map(Ok);
            }
            if file.is_none() {
                thread.open_and_run(wanted, job(request, None));
                return false;
            }
        }
        if self.vmm_answers_soon()
            && let Some(alone) = thread.alone()
        {
            self.serve_with(ring, request, Some((file, alone)), notify);
            return true;
        }
        thread.run(job(request, file));
        false
    }

    /// Whether the VMM was found to answer when what it was asked for is in effect: then it does nothing
    /// before it answers but a system call.
    fn vmm_answers_soon(&self) -> bool {
        self.metrics.vmm.get(Trait::AnswersAfterEffect) == Some(true)
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

    fn serve_window(&self, job: WindowJob, under_way: OneUnderWay) {
        let WindowJob {
            ring,
            request,
            file,
        } = job;
        self.serve_with(&ring, request, Some((file, under_way)), Notify::Now);
    }

    fn vmm_answers_soon(&self) -> bool {
        Self::vmm_answers_soon(self)
    }
}
