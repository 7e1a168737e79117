// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The end of a request: its reply, and its return to the guest.

use std::sync::atomic::Ordering;
use std::time::Instant;

use shared_window::{ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;
use virtiofsd::fuse::OutHeader;

use super::Engine;
use crate::adapter::{Fault, HeadIndex};
use crate::log::{ErrorChain, LogLimit};
use crate::request::message::{Message, MessageError, ParseError};
use crate::request::sigbus;
use crate::ring::Ring;
use crate::ring::quiesce::InFlightGuard;
use crate::ring::vring::Notify;

/// A log limit for each kind of guest error.
#[derive(Default)]
pub(super) struct LogLimits {
    pub(super) chain: LogLimit,
    pub(super) request: LogLimit,
    pub(super) reply: LogLimit,
    pub(super) memory: LogLimit,
    pub(super) buffer: LogLimit,
    pub(super) stray: LogLimit,
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
    F: FileSystem + Send + Sync,
    M: Vmm,
    S: ViewSource,
{
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

    pub(super) fn note_lost_pages(&self) {
        let lost = sigbus::take();
        if lost > 0 {
            self.metrics.lost_pages.add(lost);
            self.log_limits
                .memory
                .warn("a request uses guest memory whose file has been truncated");
        }
    }

    /// Answers a request that is meant for an earlier daemon.
    pub(super) fn turn_away(&self, message: &Message, errno: i32) -> u32 {
        if !message.header.wants_reply() {
            return 0;
        }
        if errno != 0 {
            self.log_limits.stray.warn(
                "the guest asks for what a daemon before this one has given it; it has to unmount \
                 the share and to mount it again",
            );
        }
        self.reply(message, errno)
    }

    /// Answers a request some of whose buffers can't be reached.
    pub(super) fn fail(&self, message: &Message, fault: &Fault) -> u32 {
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
    pub(super) fn reply(&self, message: &Message, errno: i32) -> u32 {
        let reply = message.header.reply(errno);
        match message.request.write_object(0, reply) {
            Ok(()) => size_of::<OutHeader>() as u32,
            Err(error) => {
                self.blame_request(&MessageError::Short(error));
                0
            }
        }
    }

    pub(super) fn blame_request(&self, error: &(dyn std::error::Error + 'static)) {
        self.metrics.bad_requests.count();
        self.log_limits.request.warn(format_args!(
            "a request cannot be served: {}",
            ErrorChain(error)
        ));
    }
}
