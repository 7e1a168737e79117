// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Requests that the window's thread serves.

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

/// A request that waits for the window's thread.
pub(crate) struct WindowJob {
    pub(crate) ring: Ring,
    pub(crate) request: ParsedRequest,
    /// The file to map, once it is open or could not be opened.
    pub(crate) file: Option<Result<OpenFile, SetupError>>,
}

impl<F, M, S> Engine<F, M, S>
where
    F: FileSystem + Send + Sync + 'static,
    M: Vmm + 'static,
    S: ViewSource + 'static,
{
    /// Whether the request is one for the window. If so, it has left its ring, and touches neither
    /// ring nor guest memory until it has re-entered.
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

    /// Serves a request that [`Self::enters_window`] if the VMM answers soon and no other window
    /// request is under way; else passes it to the window's thread. Returns whether it was served.
    /// If the file is not open, another thread opens it first. Requests for a file that is being
    /// opened wait for that as well, to keep their order.
    pub(crate) fn serve_or_queue(
        &self,
        thread: &WindowThread<WindowJob, Self>,
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

    /// Whether the VMM was found to answer when a mapping is in effect: then its answer takes only
    /// a system call.
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
