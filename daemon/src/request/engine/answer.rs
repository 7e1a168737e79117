// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The answer to a request.

use std::sync::atomic::Ordering;

use shared_window::{SetupRange, ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;
use virtiofsd::fuse::{Opcode, OutHeader};

use super::Engine;
use crate::adapter::{ChainCopyError, Fault, PayloadError, ReadWays, with_reader_and_writer};
use crate::fs::catch_panic::{Panicked, catch_panic};
use crate::log::ErrorChain;
use crate::request::fast_path::{self, FastPath};
use crate::request::message::{self, Message, MessageError, Work};
use crate::ring::Ring;
use crate::ring::quiesce::{Abandoned, InFlightGuard};
use crate::window::error::SetupError;
use crate::window::files::{FileToOpen, OpenFile};
use crate::window::operations::{WindowOperations, WindowSide};

/// Where a request was answered, and the result.
enum Served {
    Here(Result<u32, PayloadError>),
    ByServer(Result<Result<usize, virtiofsd::Error>, ChainCopyError>),
}

/// Why a request has no reply.
pub(super) enum Unanswered {
    /// Its ring was reset under it.
    Abandoned,
    /// It would have to wait for data, and nothing was done.
    WouldWait,
}

impl From<Abandoned> for Unanswered {
    fn from(Abandoned: Abandoned) -> Self {
        Self::Abandoned
    }
}

impl<F, M, S> Engine<F, M, S>
where
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
    /// The errno for a request that is meant for an earlier daemon. None: this daemon serves it. 0:
    /// the request releases something that this daemon doesn't hold. EIO: the earlier daemon had
    /// begun the request, and may have completed it. ESTALE: this daemon doesn't know the request's
    /// nodes and handles.
    pub(super) fn stray(&self, message: &Message, resubmitted: bool) -> Option<i32> {
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

    /// Returns the length of the reply. With `ways` a READ that would wait for data is not answered.
    pub(super) fn answer(
        &self,
        ring: &Ring,
        message: &Message,
        file: Option<Result<OpenFile, SetupError>>,
        resubmitted: bool,
        guard: &mut InFlightGuard,
        ways: Option<&ReadWays>,
    ) -> Result<u32, Unanswered> {
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
            return self.forward(message, ways);
        };
        if window.files().is_stale() {
            ring.notify();
            window.operate(guard, WindowOperations::sweep)?;
        }
        match (&message.work, opcode) {
            (Work::Map(range), _) => Ok(self.set_up_mapping(window, message, *range, file, guard)?),
            (Work::Unmap(ranges), _) => {
                let removed = window.operate(guard, |window| window.remove(ranges))?;
                let errno = removed.map_or_else(|error| error.errno(), |()| 0);
                Ok(self.reply(message, errno))
            }
            (_, Some(Opcode::Init)) => {
                window.operate(guard, WindowOperations::begin)?;
                let len = self.forward(message, None)?;
                if let Err(error) = message::add_map_alignment(&message.request, len) {
                    log::debug!("no MAP_ALIGNMENT in this INIT: {error}");
                }
                Ok(len)
            }
            (_, Some(Opcode::Destroy)) => {
                window.operate(guard, WindowOperations::clear)?;
                self.forward(message, None)
            }
            _ => self.forward(message, ways),
        }
    }

    /// Sets up a mapping. Opens the file, unless that is done already.
    fn set_up_mapping(
        &self,
        window: &WindowSide<F, M, S>,
        message: &Message,
        range: SetupRange,
        file: Option<Result<OpenFile, SetupError>>,
        guard: &mut InFlightGuard,
    ) -> Result<u32, Abandoned> {
        let (files, context, node) = (window.files(), message.context(), message.node());
        let file = file.unwrap_or_else(|| {
            guard.enter_window();
            files.open(&FileToOpen::new(
                context,
                node,
                range.access,
                files.driver(),
            ))
        });
        let errno = match window.operate(guard, |window| window.set_up(file, range))? {
            Ok(()) => {
                self.metrics.mappings_set_up.count();
                0
            }
            Err(error) => files.refuse(context, node, &error),
        };
        Ok(self.reply(message, errno))
    }

    /// Answers by virtiofsd's file system, through its server if necessary.
    fn forward(&self, message: &Message, ways: Option<&ReadWays>) -> Result<u32, Unanswered> {
        let Message {
            request, header, ..
        } = message;
        let served =
            catch_panic(
                || match fast_path::serve(&self.fs, header.fields(), request, ways) {
                    FastPath::Replied(served) => Some(Served::Here(served)),
                    FastPath::WouldWait => None,
                    FastPath::NotHere => Some(Served::ByServer(with_reader_and_writer(
                        request,
                        |reader, writer| {
                            self.server.handle_message(reader, writer, None::<&mut ()>)
                        },
                    ))),
                },
            );
        let Some(served) = served.transpose() else {
            return Err(Unanswered::WouldWait);
        };
        let errno = match served {
            // A reply is never longer than the chain, whose length is a u32.
            Ok(Served::ByServer(Ok(Ok(len)))) => return Ok(u32::try_from(len).unwrap_or(u32::MAX)),
            Ok(Served::Here(written)) => return Ok(self.replied(written)),
            Ok(Served::ByServer(Ok(Err(error)))) => {
                self.blame_request(&error);
                libc::EINVAL
            }
            Ok(Served::ByServer(Err(error))) => {
                self.blame_request(&error);
                libc::EIO
            }
            Err(panicked) => self.note_panic(&panicked),
        };
        Ok(match header.wants_reply() {
            true => self.reply(message, errno),
            false => 0,
        })
    }

    /// Counts and logs a panic that a request has caused; returns the errno for the request.
    pub(super) fn note_panic(&self, panicked: &Panicked) -> i32 {
        self.metrics.panics.count();
        self.log_limits.request.warn(panicked);
        libc::EIO
    }

    /// Answers a request that is meant for an earlier daemon.
    fn turn_away(&self, message: &Message, errno: i32) -> u32 {
        if !message.header.wants_reply() {
            return 0;
        }
        if errno != 0 {
            self.log_limits.stray.warn(
                "the guest uses files that an earlier daemon has opened for it; unmount the share in \
                 the guest and mount it again",
            );
        }
        self.reply(message, errno)
    }

    /// Answers a request some of whose buffers can't be reached.
    fn fail(&self, message: &Message, fault: &Fault) -> u32 {
        self.metrics.unreachable_buffers.count();
        self.log_limits.buffer.warn(format_args!(
            "a request cannot be served: {}",
            ErrorChain(fault)
        ));
        if message.header.wants_reply() {
            self.reply(message, fault.errno())
        } else {
            0
        }
    }

    /// Copies the parts of the reply that belong into mapped files. Returns the reply's length
    /// afterwards.
    pub(super) fn finish(&self, message: &Message, len: u32) -> u32 {
        let Err(error) = message.request.finish(len) else {
            return len;
        };
        self.log_limits.buffer.warn(format_args!(
            "a reply cannot be put into a mapped file: {error}"
        ));
        let len = self.reply(message, libc::EIO);
        // The header itself may lie in a mapped file. In that case the guest gets no reply.
        let _ = message.request.finish(len);
        len
    }

    /// Answers without a body; returns the reply's length, 0 if there is no room for it.
    fn reply(&self, message: &Message, errno: i32) -> u32 {
        let written = message.request.write_object(0, message.header.reply(errno));
        self.replied(written.map(|()| size_of::<OutHeader>() as u32))
    }

    /// The length of a reply that was `written`; 0 if there was no room for it, which is counted and
    /// logged.
    pub(super) fn replied(&self, written: Result<u32, PayloadError>) -> u32 {
        written.unwrap_or_else(|error| {
            self.blame_request(&MessageError::Short(error));
            0
        })
    }

    pub(super) fn blame_request(&self, error: &(dyn std::error::Error + 'static)) {
        self.metrics.bad_requests.count();
        self.log_limits.request.warn(format_args!(
            "a request cannot be served: {}",
            ErrorChain(error)
        ));
    }
}
