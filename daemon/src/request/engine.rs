// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a request on a ring to its reply.
//!
//! ```text
//!  pop ─▶ ParsedRequest ─┬▶ Work::Map, Work::Unmap ─▶ window ────────────────────────┐
//!                        └▶ Work::File ─┬▶ INIT, DESTROY: clear the window ─┐        ├▶ complete
//!                                       └─────────────┬─────────────────────┴▶ server┤
//!                                                     └▶ fast path ──────────────────┘
//! ```
//!
//! No message of a guest ends the process or a thread. A request that cannot be parsed gets an
//! error reply if there is room for one, and is returned with length 0 otherwise.

mod reply;
mod window_job;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use fuse_backend_rs::abi::virtio_fs::SetupmappingIn;
use shared_window::{ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;
use virtiofsd::fuse::Opcode;
use virtiofsd::server::Server;

use self::reply::{Completion, LogLimits};
pub(crate) use self::window_job::WindowJob;
use crate::adapter::{ChainCopyError, Mapped, PayloadError, with_reader_and_writer};
use crate::fs::DaxFs;
use crate::fs::catch_panic::catch_panic;
use crate::metrics::Metrics;
use crate::request::fast_path;
use crate::request::message::{self, Message, MessageError, ParsedRequest, Work};
use crate::ring::poller::TakenChain;
use crate::ring::quiesce::{Abandoned, InFlightGuard};
use crate::ring::vring::{Notify, Ring};
use crate::window::address_space::AddressSpace;
use crate::window::files::{FileToOpen, OpenFile, SetupError};
use crate::window::operations::{WindowOperations, WindowSide};
use crate::window::thread::OneUnderWay;

/// Where a request was answered, and the result.
enum Served {
    Here(Result<u32, PayloadError>),
    ByServer(Result<Result<usize, virtiofsd::Error>, ChainCopyError>),
}

/// Serves requests on the calling thread. Shared by all threads.
pub(crate) struct Engine<F: FileSystem + Send + Sync, M: Vmm, S: ViewSource> {
    fs: DaxFs<F, S>,
    server: Server<DaxFs<F, S>>,
    window: Option<WindowSide<F, M, S>>,
    space: Option<Arc<AddressSpace>>,
    metrics: Arc<Metrics>,
    /// A migration watches guest memory.
    logging: AtomicBool,
    /// The guest's driver knows this daemon: it has sent INIT to it, or this daemon has loaded the
    /// state of the one before.
    is_known: AtomicBool,
    log_limits: LogLimits,
}

impl<F, M, S> Engine<F, M, S>
where
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
    pub(crate) fn new(
        fs: DaxFs<F, S>,
        window: Option<WindowSide<F, M, S>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            server: Server::new(fs.clone()),
            fs,
            window,
            space: None,
            metrics,
            logging: AtomicBool::new(false),
            is_known: AtomicBool::new(false),
            log_limits: LogLimits::default(),
        }
    }

    /// Sets the address space in which requests' buffers lie.
    pub(crate) fn with_space(self, space: Arc<AddressSpace>) -> Self {
        Self {
            space: Some(space),
            ..self
        }
    }

    /// Lets all requests be served, also before INIT.
    pub(crate) fn make_known(&self) {
        self.is_known.store(true, Ordering::Release);
    }

    /// The errno for a request that is meant for an earlier daemon. None: this daemon serves it. 0:
    /// the request releases something that this daemon doesn't hold. EIO: the earlier daemon had
    /// begun the request, and may have completed it. ESTALE: this daemon doesn't know the request's
    /// nodes and handles.
    fn stray(&self, message: &Message, resubmitted: bool) -> Option<i32> {
        if !resubmitted && self.is_known.load(Ordering::Acquire) {
            return None;
        }
        match message.header.opcode() {
            // Both can be served twice: they use no node or handle of the earlier daemon.
            Some(Opcode::Init | Opcode::Destroy) => None,
            // This daemon holds none of what is released.
            Some(Opcode::Forget | Opcode::BatchForget | Opcode::RemoveMapping) => Some(0),
            _ if resubmitted => Some(libc::EIO),
            _ => Some(libc::ESTALE),
        }
    }

    /// Reads a request that was taken off its ring.
    pub(crate) fn parse(&self, taken: TakenChain) -> ParsedRequest {
        let mapped = self.space.as_deref().map(|space| space as &dyn Mapped);
        ParsedRequest::parse(taken, mapped, self.window.is_some())
    }

    pub(crate) fn server(&self) -> &Server<DaxFs<F, S>> {
        &self.server
    }

    /// The file system itself.
    pub(crate) fn fs(&self) -> &DaxFs<F, S> {
        &self.fs
    }

    pub(crate) fn window(&self) -> Option<&WindowSide<F, M, S>> {
        self.window.as_ref()
    }

    /// Whether every reply is to be marked dirty.
    pub(crate) fn set_logging(&self, logging: bool) {
        self.logging.store(logging, Ordering::Release);
    }

    /// Serves one request and returns it to the guest, which is notified by `notify`. With
    /// [`Notify::Later`] the caller has to call [`Ring::notify`] if no request follows.
    pub(crate) fn serve(&self, ring: &Ring, request: ParsedRequest, notify: Notify) {
        self.serve_with(ring, request, None, notify);
    }

    fn serve_with(
        &self,
        ring: &Ring,
        request: ParsedRequest,
        of_window: Option<(Option<Result<OpenFile, SetupError>>, OneUnderWay)>,
        notify: Notify,
    ) {
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
            Ok(message) => self.answer(ring, message, file.flatten(), resubmitted, &mut guard),
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
            Err(Abandoned) => self.metrics.abandoned.count(),
        }
    }

    /// Returns the length of the reply.
    fn answer(
        &self,
        ring: &Ring,
        message: &Message,
        file: Option<Result<OpenFile, SetupError>>,
        resubmitted: bool,
        guard: &mut InFlightGuard,
    ) -> Result<u32, Abandoned> {
        if let Some(errno) = self.stray(message, resubmitted) {
            return Ok(self.turn_away(message, errno));
        }
        if let Some(fault) = message.request.fault() {
            return Ok(self.fail(message, fault));
        }
        let opcode = message.header.opcode();
        // A mapping is made by another thread, or soon.
        if matches!(message.work, Work::File) && !fast_path::is_quick(opcode) {
            ring.notify();
        }
        if matches!(opcode, Some(Opcode::Init)) {
            self.make_known();
        }
        if let Work::Bad(error) = &message.work {
            self.blame_request(error);
            return Ok(self.reply(message, libc::EINVAL));
        }
        let Some(window) = &self.window else {
            return Ok(self.forward(message));
        };
        if window.files().is_stale() {
            ring.notify();
            window.operate(guard, WindowOperations::sweep)?;
        }
        match (&message.work, opcode) {
            (Work::Map(range), _) => self.map(window, message, range, file, guard),
            (Work::Unmap(ranges), _) => {
                let removed = window.operate(guard, |window| window.remove(ranges))?;
                let errno = removed.map_or_else(|error| error.errno(), |()| 0);
                Ok(self.reply(message, errno))
            }
            (_, Some(Opcode::Init)) => {
                window.operate(guard, WindowOperations::begin)?;
                let len = self.forward(message);
                if let Err(error) = message::add_map_alignment(&message.request, len) {
                    log::debug!("no MAP_ALIGNMENT in this INIT: {error}");
                }
                Ok(len)
            }
            (_, Some(Opcode::Destroy)) => {
                window.operate(guard, WindowOperations::clear)?;
                Ok(self.forward(message))
            }
            _ => Ok(self.forward(message)),
        }
    }

    /// Sets up a mapping. Opens the file, unless that is done already.
    fn map(
        &self,
        window: &WindowSide<F, M, S>,
        message: &Message,
        range: &SetupmappingIn,
        file: Option<Result<OpenFile, SetupError>>,
        guard: &mut InFlightGuard,
    ) -> Result<u32, Abandoned> {
        let (files, context, node) = (window.files(), message.context(), message.node());
        let file = file.unwrap_or_else(|| {
            guard.enter_window();
            files.open(&FileToOpen::new(context, node, range, files.driver()))
        });
        let errno = match window.operate(guard, |window| window.set_up(file, range))? {
            Ok(()) => {
                self.metrics.mappings_set_up.count();
                0
            }
            Err(error) => {
                files.refuse(context, node, &error);
                error.errno()
            }
        };
        Ok(self.reply(message, errno))
    }

    /// Answers by virtiofsd's file system, through its server if necessary.
    fn forward(&self, message: &Message) -> u32 {
        let Message {
            request, header, ..
        } = message;
        let served = catch_panic(
            || match fast_path::serve(&self.fs, header.fields(), request) {
                Some(served) => Served::Here(served),
                None => Served::ByServer(with_reader_and_writer(request, |reader, writer| {
                    self.server.handle_message(reader, writer, None::<&mut ()>)
                })),
            },
        );
        let errno = match served {
            // A reply is never longer than the chain, whose length is a u32.
            Ok(Served::ByServer(Ok(Ok(len)))) => return u32::try_from(len).unwrap_or(u32::MAX),
            Ok(Served::Here(Ok(len))) => return len,
            Ok(Served::Here(Err(error))) => {
                self.blame_request(&MessageError::Short(error));
                return 0;
            }
            Ok(Served::ByServer(Ok(Err(error)))) => {
                self.blame_request(&error);
                libc::EINVAL
            }
            Ok(Served::ByServer(Err(error))) => {
                self.blame_request(&error);
                libc::EIO
            }
            Err(panicked) => {
                self.metrics.panics.count();
                self.log_limits.request.warn(&panicked);
                libc::EIO
            }
        };
        if header.wants_reply() {
            self.reply(message, errno)
        } else {
            0
        }
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "engine_window_tests.rs"]
mod window_tests;
