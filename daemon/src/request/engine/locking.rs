// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Messages about locks that are the host's.
//!
//! They are served by a thread that may sleep, since a file server may have to be asked. One that has
//! to wait for a lock goes on to a thread of its own, off its ring ([`crate::locks`]).

use std::io;
use std::sync::Arc;
use std::time::Instant;

use shared_window::{ViewSource, Vmm};
use virtiofsd::filesystem::FileSystem;
use virtiofsd::fuse::{InHeader, InterruptIn, LkIn, LkOut, Opcode};

use super::Engine;
use super::dispatch::{Completion, OtherThreads};
use crate::fs::catch_panic::catch_panic;
use crate::locks::{Ask, HostLocks, Outcome, found};
use crate::request::fast_path::{Body, Reply};
use crate::request::message::{Message, MessageError, ParsedRequest};
use crate::ring::Ring;
use crate::ring::vring::Notify;

/// The part of a ring's descriptors that requests which wait may have: 1 of so many. The driver has
/// three descriptors for such a request where it has no indirect ones, so the request that unlocks
/// still fits.
const SHARE_OF_WAITS: u16 = 4;

impl<F, M, S> Engine<F, M, S>
where
    F: FileSystem + Send + Sync + 'static,
    M: Vmm + 'static,
    S: ViewSource + 'static,
{
    /// Whether [`Self::serve_lock_elsewhere`] serves the request. An INTERRUPT has its effect here.
    pub(super) fn concerns_locks(&self, locks: &HostLocks, request: &ParsedRequest) -> bool {
        let Ok(message) = &request.message else {
            return false;
        };
        match message.header.opcode() {
            Some(Opcode::Getlk | Opcode::Setlk | Opcode::Setlkw) => {
                // All others are answered as ever.
                self.stray(message, request.resubmitted).is_none()
                    && message.request.fault().is_none()
            }
            Some(Opcode::Interrupt) => {
                let body = message.request.read_object(size_of::<InHeader>());
                if let Ok(InterruptIn { unique }) = body {
                    locks.interrupt(unique);
                }
                false
            }
            _ => false,
        }
    }

    pub(super) fn serve_lock_elsewhere(
        self: &Arc<Self>,
        locks: &Arc<HostLocks>,
        others: &OtherThreads<'_, Self>,
        ring: &Ring,
        request: ParsedRequest,
    ) {
        let (engine, locks, ring) = (Arc::clone(self), Arc::clone(locks), ring.clone());
        let serve = move || engine.serve_lock(&locks, &ring, request);
        match others.aside {
            Some(aside) => {
                self.metrics.handed_over.count();
                aside.run(serve);
            }
            None => serve(),
        }
    }

    fn serve_lock(
        self: &Arc<Self>,
        locks: &Arc<HostLocks>,
        ring: &Ring,
        mut request: ParsedRequest,
    ) {
        let begun = self.metrics.observer().map(|_| Instant::now());
        let ParsedRequest {
            message: Ok(message),
            guard,
            ..
        } = &mut request
        else {
            return self.serve(ring, request, Notify::Now);
        };
        let answer = match self.lock(locks, ring, message) {
            Ok(Locked::Waits(waiting, ask)) => {
                // From here on the request touches neither ring nor guest memory until it has
                // re-entered its ring, which may be stopped meanwhile.
                guard.enter_window();
                let (engine, ring, held) = (Arc::clone(self), ring.clone(), Arc::clone(locks));
                return waiting.run(locks, ask, move |result| {
                    engine.end_wait(&held, &ring, request, &ask, result, begun);
                });
            }
            Ok(Locked::Found(lock)) => Ok(Some(lock)),
            Ok(Locked::Done) => Ok(None),
            Err(error) => Err(error),
        };
        self.answer_lock(ring, request, answer, begun);
    }

    fn lock(&self, locks: &HostLocks, ring: &Ring, message: &Message) -> io::Result<Locked> {
        let invalid = |error: &(dyn std::error::Error + 'static)| {
            self.blame_request(error);
            io::Error::from_raw_os_error(libc::EINVAL)
        };
        let opcode = message.header.opcode();
        let body = (message.header)
            .claims(size_of::<InHeader>() + size_of::<LkIn>())
            .and_then(|()| {
                let body = message.request.read_object(size_of::<InHeader>());
                body.map_err(MessageError::Short)
            })
            .map_err(|error| invalid(&error))?;
        let waits = matches!(opcode, Some(Opcode::Setlkw));
        let ask =
            Ask::new(message.header.fields(), &body, waits).map_err(|error| invalid(&error))?;
        let fs = self.fs.inner();
        let served = catch_panic(|| match opcode {
            Some(Opcode::Getlk) => locks.find(fs, &ask).map(|lock| Locked::Found(found(lock))),
            _ => {
                let most = usize::from(ring.size() / SHARE_OF_WAITS);
                locks.set(fs, &ask, most).map(|outcome| match outcome {
                    Outcome::Done => Locked::Done,
                    Outcome::Waits(waiting) => Locked::Waits(waiting, ask),
                })
            }
        });
        served.unwrap_or_else(|panicked| {
            Err(io::Error::from_raw_os_error(self.note_panic(&panicked)))
        })
    }

    /// A wait is over; the request goes back to its ring.
    fn end_wait(
        &self,
        locks: &HostLocks,
        ring: &Ring,
        mut request: ParsedRequest,
        ask: &Ask,
        result: io::Result<()>,
        begun: Option<Instant>,
    ) {
        if request.guard.leave_window().is_err() {
            self.metrics.abandoned.count();
            if result.is_ok() {
                locks.undo(ask);
            }
            return;
        }
        self.answer_lock(ring, request, result.map(|()| None), begun);
    }

    fn answer_lock(
        &self,
        ring: &Ring,
        request: ParsedRequest,
        answer: io::Result<Option<LkOut>>,
        begun: Option<Instant>,
    ) {
        let ParsedRequest {
            head,
            guard,
            ref message,
            ..
        } = request;
        let reply = Reply::of(answer.map(|found| found.map_or_else(Body::none, Body::of)));
        let len = match message {
            Ok(message) => {
                let written = reply.write(message.header.fields().unique, &message.request);
                self.replied(written)
            }
            Err(_) => 0,
        };
        let completion = Completion {
            head,
            guard,
            message,
            len,
            begun,
        };
        self.complete(ring, completion, Notify::Now);
    }
}

/// How a message about a lock is answered.
enum Locked {
    /// Without a body.
    Done,
    /// With the lock that was asked about.
    Found(LkOut),
    /// Later.
    Waits(crate::locks::Waiting, Ask),
}
