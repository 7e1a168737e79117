// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! From a request on a ring to its reply.
//!
//! ```text
//!  pop ─▶ Request ─▶ Header ─▶ SETUPMAPPING, REMOVEMAPPING ─▶ window
//!                         ├──▶ INIT, DESTROY ─▶ clear the window ─┐
//!                         └──▶ everything else ─┬─────────────────┴─▶ virtiofsd's server
//!                                               └─▶ fast path ─▶ its file system
//! ```
//!
//! Nothing that a guest sends ends the process or a thread: what cannot be parsed is answered
//! with an error where there is room for one, and returned with length 0 where there is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use shared_window::{ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;
use virtiofsd::fuse::{Opcode, OutHeader};
use virtiofsd::server::Server;

use crate::adapter::{
    ChainCopyError, Fault, Mapped, PayloadError, Request, with_reader_and_writer,
};
use crate::fs::catch_panic::catch_panic;
use crate::fs::{DaxFs, NodeId};
use crate::log::{ErrorChain, LogLimit};
use crate::metrics::Metrics;
use crate::request::fast_path;
use crate::request::message::{self, Header, MessageError};
use crate::request::parsed::{Asked, Opened, Wanted};
use crate::request::sigbus;
use crate::ring::quiesce::{Abandoned, InFlightGuard};
use crate::ring::vring::{Notify, Ring};
use crate::window::address_space::AddressSpace;
use crate::window::operations::{FileToOpen, WindowSide, for_writing};

/// One kind of log_limit for each way in which a guest can be wrong.
#[derive(Default)]
struct LogLimits {
    chain: LogLimit,
    request: LogLimit,
    reply: LogLimit,
    memory: LogLimit,
    buffer: LogLimit,
    stray: LogLimit,
}

/// A request and its header.
type ReadRequest = (Request, Result<Header, MessageError>);

/// Who has answered a request, and how that went.
enum Served {
    Here(Result<u32, PayloadError>),
    ByServer(Result<Result<usize, virtiofsd::Error>, ChainCopyError>),
}

/// Serves requests, on whatever thread calls it. Shared by all of them.
pub(crate) struct Engine<F: FileSystem + Send + Sync, M: Vmm, S: ViewSource> {
    fs: DaxFs<F, S>,
    server: Server<DaxFs<F, S>>,
    window: Option<WindowSide<F, M, S>>,
    space: Option<Arc<AddressSpace>>,
    metrics: Arc<Metrics>,
    /// A migration watches guest memory.
    logging: AtomicBool,
    /// The guest's driver knows this daemon: it has sent INIT here, or the state came from where it did.
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

    /// The same, for a guest whose requests have buffers in `space`.
    pub(crate) fn with_space(self, space: Arc<AddressSpace>) -> Self {
        Self {
            space: Some(space),
            ..self
        }
    }

    /// Serves whatever comes, also before INIT.
    pub(crate) fn make_known(&self) {
        self.is_known.store(true, Ordering::Release);
    }

    /// Whether a request is for the daemon before this one, so that it is to be answered at once.
    pub(crate) fn is_stray(&self, opened: &Opened) -> bool {
        let header = opened.read.as_ref().ok();
        let header = header.and_then(|(_, header)| header.as_ref().ok());
        header.is_some_and(|header| self.stray(header.opcode(), opened.again).is_some())
    }

    /// The errno for a request that is for the daemon before this one. None: this daemon serves it. 0:
    /// the request gives something back that this daemon doesn't hold. EIO: the daemon before had begun
    /// the request, and may have completed it. ESTALE: this daemon doesn't know the request's nodes and
    /// handles.
    fn stray(&self, opcode: Option<Opcode>, again: bool) -> Option<i32> {
        if !again && self.is_known.load(Ordering::Acquire) {
            return None;
        }
        match opcode {
            // Both can be served twice: they use no node or handle of the daemon before.
            Some(Opcode::Init | Opcode::Destroy) => None,
            // This daemon holds nothing of what is given back.
            Some(Opcode::Forget | Opcode::BatchForget | Opcode::RemoveMapping) => Some(0),
            _ if again => Some(libc::EIO),
            _ => Some(libc::ESTALE),
        }
    }

    /// What a request's buffers may lie in, beside memory.
    pub(crate) fn mapped(&self) -> Option<&dyn Mapped> {
        self.space.as_deref().map(|space| space as &dyn Mapped)
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

    /// Serves one request and returns it to the guest, who hears of it as `telling` says. With
    /// [`Notify::Later`] the caller has to [`Ring::notify`] when nothing follows.
    pub(crate) fn serve(&self, ring: &Ring, opened: Opened, notify: Notify) {
        let Opened {
            head,
            mut guard,
            read,
            asked,
            again,
        } = opened;
        // Lives until the guest has heard: it may be the last who holds memory that has gone, such as
        // a mapping that it has removed, and to let go of that takes longer than the rest.
        let len = match &read {
            Ok(opened) => {
                let answered = self
                    .answer(ring, opened, asked, again, &mut guard)
                    .map(|len| self.finish(opened, len));
                if self.logging.load(Ordering::Acquire) {
                    opened.0.mark_written();
                }
                answered
            }
            Err(error) => {
                self.metrics.bad_chains.count();
                self.log_limits.chain.warn(error);
                Ok(0)
            }
        };
        self.note_lost_pages();
        let Ok(len) = len else {
            self.metrics.abandoned.count();
            return;
        };
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

    /// Returns the length of the reply.
    fn answer(
        &self,
        ring: &Ring,
        (request, header): &ReadRequest,
        asked: Option<Asked>,
        again: bool,
        guard: &mut InFlightGuard,
    ) -> Result<u32, Abandoned> {
        let header = match header {
            Ok(header) => header,
            Err(error) => {
                self.blame_request(error);
                return Ok(0);
            }
        };
        if let Some(errno) = self.stray(header.opcode(), again) {
            return Ok(self.turn_away(header, request, errno));
        }
        if let Some(fault) = request.fault() {
            return Ok(self.fail(header, request, fault));
        }
        let Some(observer) = self.metrics.observer() else {
            return self.dispatch(ring, header, request, asked, guard);
        };
        let begun = Instant::now();
        let len = self.dispatch(ring, header, request, asked, guard)?;
        observer.answered(header.fields(), request, len, begun);
        Ok(len)
    }

    fn dispatch(
        &self,
        ring: &Ring,
        header: &Header,
        request: &Request,
        asked: Option<Asked>,
        guard: &mut InFlightGuard,
    ) -> Result<u32, Abandoned> {
        let opcode = header.opcode();
        if !fast_path::is_quick(opcode) {
            ring.notify();
        }
        if matches!(opcode, Some(Opcode::Init)) {
            self.make_known();
        }
        let Some(window) = &self.window else {
            return Ok(self.forward(header, request));
        };
        // Before it steps aside: what the guest wrote is its request only while the ring is there.
        let asked = match asked.map_or_else(|| Asked::read(header, request), |it| Ok(Some(it))) {
            Ok(asked) => asked,
            Err(error) => {
                self.blame_request(&error);
                return Ok(self.reply(header, request, libc::EINVAL));
            }
        };
        if window.is_stale() {
            ring.notify();
            window.operate(guard, WindowSide::sweep)?;
        }
        if let Some(asked) = asked {
            let errno = self.map_or_unmap(window, header, asked, guard)?;
            return Ok(self.reply(header, request, errno));
        }
        match opcode {
            Some(Opcode::Init) => {
                window.operate(guard, WindowSide::begin)?;
                let len = self.forward(header, request);
                if let Err(error) = message::add_map_alignment(request, len) {
                    log::debug!("no MAP_ALIGNMENT in this INIT: {error}");
                }
                Ok(len)
            }
            Some(Opcode::Destroy) => {
                window.operate(guard, WindowSide::clear)?;
                Ok(self.forward(header, request))
            }
            _ => Ok(self.forward(header, request)),
        }
    }

    /// Gives the request the file that it wants mapped, if that is open; else it is to be opened.
    /// Requests for a file that `is_being_opened` wait for that as well, to keep their order.
    pub(crate) fn to_be_opened(
        &self,
        opened: &mut Opened,
        is_being_opened: impl FnOnce(NodeId) -> bool,
    ) -> Option<FileToOpen> {
        let window = self.window.as_ref()?;
        let (header, wanted) = opened.wanted()?;
        let file = FileToOpen {
            context: header.context(),
            node: NodeId(header.nodeid()),
            for_writing: for_writing(&wanted.range),
            driver: window.driver(),
        };
        if !is_being_opened(file.node) {
            wanted.file = window.kept(&file).map(Ok);
        }
        wanted.file.is_none().then_some(file)
    }

    /// Opens a file for the request. It may hang, so nothing of the window may be held.
    pub(crate) fn open(&self, file: &FileToOpen, mut opened: Opened) -> Opened {
        if let (Some(window), Some((_, wanted))) = (&self.window, opened.wanted()) {
            wanted.file = Some(window.open(file));
        }
        opened
    }

    /// Does what is asked of the window; the errno that it comes to.
    fn map_or_unmap(
        &self,
        window: &WindowSide<F, M, S>,
        header: &Header,
        asked: Asked,
        guard: &mut InFlightGuard,
    ) -> Result<i32, Abandoned> {
        match asked {
            Asked::Map(wanted) => {
                let Wanted { range, file } = *wanted;
                let file = file.unwrap_or_else(|| {
                    guard.enter_window();
                    window.open(&FileToOpen {
                        context: header.context(),
                        node: NodeId(header.nodeid()),
                        for_writing: for_writing(&range),
                        driver: window.driver(),
                    })
                });
                let result = window.operate(guard, |window| window.set_up(file, &range))?;
                if let Err(error) = &result {
                    let (context, node) = (header.context(), NodeId(header.nodeid()));
                    window.take_back(context, node, error);
                }
                Ok(result.map_or_else(|error| error.errno(), |()| 0))
            }
            Asked::Unmap(ranges) => {
                let result = window.operate(guard, |window| window.remove(&ranges))?;
                Ok(result.map_or_else(|error| error.errno(), |()| 0))
            }
        }
    }

    /// Lets virtiofsd's file system answer, through its server if need be.
    fn forward(&self, header: &Header, request: &Request) -> u32 {
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
            self.reply(header, request, errno)
        } else {
            0
        }
    }

    /// Answers a request that is for the daemon before this one.
    fn turn_away(&self, header: &Header, request: &Request, errno: i32) -> u32 {
        if !header.wants_reply() {
            return 0;
        }
        if errno != 0 {
            self.log_limits.stray.warn(
                "the guest asks for what a daemon before this one has given it; it has to unmount \
                 the share and to mount it again",
            );
        }
        self.reply(header, request, errno)
    }

    /// Answers a request of which not all can be reached.
    fn fail(&self, header: &Header, request: &Request, fault: &Fault) -> u32 {
        self.metrics.unreachable_buffers.count();
        self.log_limits.buffer.warn(format_args!(
            "a request cannot be served: {}",
            ErrorChain(fault)
        ));
        if header.wants_reply() {
            self.reply(header, request, fault.errno())
        } else {
            0
        }
    }

    /// Copies what of the reply belongs into mapped files; the reply's length then.
    fn finish(&self, (request, header): &ReadRequest, len: u32) -> u32 {
        let Err(error) = request.finish(len) else {
            return len;
        };
        self.log_limits.buffer.warn(format_args!(
            "a reply cannot be put into a mapped file: {error}"
        ));
        match header {
            Ok(header) => {
                let len = self.reply(header, request, libc::EIO);
                // The header itself may lie there. Nothing more can be done for that guest.
                let _ = request.finish(len);
                len
            }
            Err(_) => 0,
        }
    }

    /// Answers without a body; returns the reply's length, 0 if there is no room for it.
    fn reply(&self, header: &Header, request: &Request, errno: i32) -> u32 {
        match request.write_object(0, header.reply(errno)) {
            Ok(()) => size_of::<OutHeader>() as u32,
            Err(error) => {
                self.blame_request(&MessageError::Short(error));
                0
            }
        }
    }

    fn blame_request(&self, error: &(dyn std::error::Error + 'static)) {
        self.metrics.bad_requests.count();
        self.log_limits.request.warn(format_args!(
            "a request cannot be served: {}",
            ErrorChain(error)
        ));
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "engine_window_tests.rs"]
mod window_tests;
