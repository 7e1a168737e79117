// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The way of a request from its ring to the thread that serves it, and back to the ring.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use shared_window::{ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;

use super::Engine;
use super::answer::Unanswered;
use crate::adapter::{HeadIndex, Mapped, ReadWays};
use crate::metrics::Trait;
use crate::request::message::{Message, ParseError, ParsedRequest, Work};
use crate::request::{fast_path, sigbus};
use crate::ring::Ring;
use crate::ring::aside::Aside;
use crate::ring::poller::TakenChain;
use crate::ring::quiesce::InFlightGuard;
use crate::ring::vring::Notify;
use crate::window::error::SetupError;
use crate::window::files::{FileToOpen, OpenFile};
use crate::window::operations::WindowSide;
use crate::window::thread::{OneUnderWay, WindowService, WindowThread};

/// A request that waits for the window's thread.
pub(crate) struct WindowJob {
    ring: Ring,
    request: ParsedRequest,
    /// The file to map, once it is open or could not be opened.
    file: Option<Result<OpenFile, SetupError>>,
}

/// The threads to which a queue's thread may hand a request over.
pub(crate) struct OtherThreads<'a, E> {
    /// The thread for the window, if there is one.
    pub(crate) window: Option<&'a WindowThread<WindowJob, E>>,
    /// Those for requests that may sleep; none if the calling thread may.
    pub(crate) aside: Option<&'a Aside>,
}

/// A request that has been answered.
pub(super) struct Completion<'a> {
    pub(super) head: HeadIndex,
    pub(super) guard: InFlightGuard,
    pub(super) message: &'a Result<Message, ParseError>,
    /// The length of the reply.
    pub(super) len: u32,
    /// The start of serving, if an observer times it.
    pub(super) begun: Option<Instant>,
}

impl<F, M, S> Engine<F, M, S>
where
    F: FileSystem + Send + Sync + 'static,
    M: Vmm + 'static,
    S: ViewSource + 'static,
{
    /// Reads a request that was taken off its ring, and serves it here or passes it to one of the
    /// `others`. Returns whether the VMM was asked on this thread. With [`Notify::Later`] the caller
    /// has to call [`Ring::notify`] if no request follows.
    pub(crate) fn dispatch(
        self: &Arc<Self>,
        others: &OtherThreads<'_, Self>,
        ring: &Ring,
        taken: TakenChain,
        notify: Notify,
    ) -> bool {
        let mut request = self.parse(taken);
        if let Some(locks) = self.fs.locks()
            && self.concerns_locks(locks, &request)
        {
            self.serve_lock_elsewhere(locks, others, ring, request);
            return false;
        }
        if let Some(thread) = others.window
            && let Ok(message) = &request.message
            && matches!(message.work, Work::Map(_) | Work::Unmap(_))
            && self.stray(message, request.resubmitted).is_none()
        {
            // From here on the request touches neither ring nor guest memory until it has re-entered
            // its ring.
            request.guard.enter_window();
            return self.serve_or_queue(thread, ring, request, notify);
        }
        let Some(aside) = others.aside else {
            self.serve(ring, request, notify);
            return false;
        };
        let opcode = (request.message.as_ref().ok()).and_then(|message| message.header.opcode());
        let left = match fast_path::may_sleep(opcode) {
            true => Some(request),
            false => self.serve_with(ring, request, None, notify, Some(&self.read_ways)),
        };
        if let Some(request) = left {
            self.metrics.handed_over.count();
            let (engine, ring) = (Arc::clone(self), ring.clone());
            aside.run(move || engine.serve(&ring, request, Notify::Now));
        }
        false
    }

    /// Serves a request that has left its ring for the window, if the VMM answers soon and no other
    /// window request is under way; else passes it to the window's thread. Returns whether it was
    /// served.
    /// If the file is not open, another thread opens it first. Requests for a file that is being
    /// opened wait for that as well, to keep their order.
    fn serve_or_queue(
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
            self.serve_with(ring, request, Some((file, alone)), notify, None);
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
        let file = FileToOpen::new(message.context(), message.node(), range.access, driver);
        Some((window, file))
    }
}

impl<F, M, S> Engine<F, M, S>
where
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
    /// Reads a request that was taken off its ring.
    pub(crate) fn parse(&self, taken: TakenChain) -> ParsedRequest {
        let TakenChain {
            chain,
            guard,
            memory,
            resubmitted,
            seen: _,
        } = taken;
        let mapped = self.space.as_deref().map(|space| space as &dyn Mapped);
        ParsedRequest {
            head: HeadIndex(chain.head_index()),
            guard,
            message: Message::read(chain, memory, mapped, self.window.is_some()),
            resubmitted,
        }
    }

    /// Serves one request and returns it to the guest, which is notified by `notify`. With
    /// [`Notify::Later`] the caller has to call [`Ring::notify`] if no request follows.
    pub(crate) fn serve(&self, ring: &Ring, request: ParsedRequest, notify: Notify) {
        self.serve_with(ring, request, None, notify, None);
    }

    /// With `ways` a READ that would wait for data is not served but returned.
    fn serve_with(
        &self,
        ring: &Ring,
        request: ParsedRequest,
        of_window: Option<(Option<Result<OpenFile, SetupError>>, OneUnderWay)>,
        notify: Notify,
        ways: Option<&ReadWays>,
    ) -> Option<ParsedRequest> {
        let (file, under_way) = of_window.unzip();
        let ParsedRequest {
            head,
            mut guard,
            // Not moved, because it is large.
            ref message,
            resubmitted,
        } = request;
        let begun = self.metrics.observer().map(|_| Instant::now());
        let answered = match message {
            Ok(message) => {
                self.answer(ring, message, file.flatten(), resubmitted, &mut guard, ways)
            }
            Err(_) => Ok(0),
        };
        // Dropped before the guest is notified, since its next request may come at once.
        drop(under_way);
        // The message lives until the guest is notified. It may be the last holder of memory that
        // is gone, such as a mapping that the guest has removed, and to unmap that takes longer
        // than the rest.
        match answered {
            Ok(len) => {
                let completion = Completion {
                    head,
                    guard,
                    message,
                    len,
                    begun,
                };
                self.complete(ring, completion, notify);
            }
            Err(Unanswered::Abandoned) => self.metrics.abandoned.count(),
            Err(Unanswered::WouldWait) => return Some(ParsedRequest { guard, ..request }),
        }
        None
    }

    /// Completes an answered request: counts and times it, logs the guest's errors, and puts the
    /// request on the used ring.
    pub(super) fn complete(&self, ring: &Ring, completion: Completion<'_>, notify: Notify) {
        let Completion {
            head,
            guard,
            message,
            mut len,
            begun,
        } = completion;
        match message {
            Ok(message) => {
                if let (Some(observer), Some(begun)) = (self.metrics.observer(), begun) {
                    observer.answered(message.header.fields(), &message.request, len, begun);
                }
                len = self.finish(message, len);
                if self.logging.load(Ordering::Acquire) {
                    message.request.mark_written();
                }
            }
            Err(ParseError::Chain(error)) => {
                self.metrics.bad_chains.count();
                self.log_limits.chain.warn(error);
            }
            Err(ParseError::Header(error)) => self.blame_request(error),
        }
        self.note_lost_pages();
        if let Err(error) = ring.complete(guard, head, len, notify) {
            self.metrics.lost_replies.count();
            self.log_limits.reply.warn(format_args!(
                "a reply cannot be put on the used ring: {error}"
            ));
        }
    }

    fn note_lost_pages(&self) {
        let lost = sigbus::take();
        if lost > 0 {
            self.metrics.lost_pages.add(lost);
            self.log_limits
                .memory
                .warn("a request uses guest memory whose file has been truncated");
        }
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
        self.serve_with(&ring, request, Some((file, under_way)), Notify::Now, None);
    }

    fn vmm_answers_soon(&self) -> bool {
        Self::vmm_answers_soon(self)
    }
}
