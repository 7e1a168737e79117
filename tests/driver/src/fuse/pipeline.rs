// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Many requests in flight on one queue.

use std::time::Duration;

use fuse_backend_rs::abi::fuse_abi::{InHeader, OutHeader};

use super::encode::Encoder;
use super::framing::{Frame, Framing};
use super::reply::{RawReply, Shape};
use super::slots::{Sent, Slots};
use super::{Body, FuseError, Reply, Request};
use crate::QueueIndex;
use crate::queue::{Queue, QueueError, Used, Waiting};
use crate::units::Unique;
use crate::vhost::Vm;

/// The position of the queue's number in a unique.
const QUEUE_SHIFT: u32 = 48;
/// The step between two uniques. Linux uses even ones, and keeps odd ones for INTERRUPT.
const STEP: u64 = 2;

/// A completed request.
#[derive(Debug)]
pub struct Completion {
    /// The request.
    pub unique: Unique,
    /// Its reply.
    pub result: Result<Reply, FuseError>,
}

/// A queue with slots for requests. It belongs to one thread.
#[derive(Debug)]
pub struct Pipeline {
    queue: Queue,
    slots: Slots,
    last: Unique,
    owner: [u32; 3],
    patience: Duration,
    framing: Framing,
    frame: Frame,
}

impl Pipeline {
    /// Takes a queue of the VM; up to `depth` requests can be in flight.
    ///
    /// # Errors
    /// [`FuseError`] if the queue is taken, or memory is lacking.
    pub fn new(vm: &mut Vm, index: QueueIndex, depth: usize) -> Result<Self, FuseError> {
        let slots = Slots::new(vm.memory(), depth)?;
        Ok(Self {
            queue: vm.take_queue(index)?,
            slots,
            last: Unique((index.0 as u64) << QUEUE_SHIFT),
            owner: [0; 3],
            patience: vm.patience(),
            framing: vm.framing(),
            frame: Frame::default(),
        })
    }

    /// Makes a request available, and returns the unique of its completion. [`Pipeline::kick`]
    /// notifies the device. The spans of the request belong to the device until the completion.
    ///
    /// # Errors
    /// [`FuseError`], among them [`FuseError::Depth`].
    pub fn submit(&mut self, request: &Request<'_>) -> Result<Unique, FuseError> {
        let slot = self.slots.next()?;
        let unique = Unique(self.last.0 + STEP);
        let mut encoder = Encoder::new(self.slots.request(slot));
        let Body {
            shape,
            send,
            receive,
            ..
        } = request.body;
        encoder.body(&request.body)?;
        let len = encoder.finish(self.header(request, unique), send.len);
        let sent = Sent {
            unique,
            opcode: request.body.opcode,
            shape,
            room: receive.len,
        };
        let reply_len = size_of::<OutHeader>() + shape.len();
        let request = [self.slots.request_span(slot, len), send];
        let reply = [self.slots.reply_span(slot, reply_len), receive];
        let reply = (shape != Shape::None).then_some(reply);
        self.frame.cut(self.framing, request, reply);
        let Frame { readable, writable } = &self.frame;
        self.queue.submit(readable, writable, slot as u64)?;
        self.slots.begin(slot, sent);
        self.last = unique;
        Ok(unique)
    }

    /// Notifies the device of new requests, unless the device has suppressed notifications.
    ///
    /// # Errors
    /// [`QueueError::Event`].
    pub fn kick(&mut self) -> Result<(), FuseError> {
        Ok(self.queue.kick()?)
    }

    /// The next completed request, if there is one.
    ///
    /// # Errors
    /// [`FuseError::Queue`]. The daemon's errno is in the completion.
    #[inline]
    pub fn poll(&mut self) -> Result<Option<Completion>, FuseError> {
        match self.queue.poll()? {
            Some(used) => self.finish(used).map(Some),
            None => Ok(None),
        }
    }

    /// Kicks, and waits until a request completes.
    ///
    /// # Errors
    /// [`FuseError::Queue`] if none completes. The daemon's errno is in the completion.
    pub fn complete(&mut self) -> Result<Completion, FuseError> {
        if self.slots.in_use() == 0 {
            return Err(FuseError::Idle);
        }
        self.queue.kick()?;
        let used = self.queue.wait(self.patience)?;
        self.finish(used)
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.slots.in_use()
    }

    /// How many requests can be in flight.
    pub fn depth(&self) -> usize {
        self.slots.depth()
    }

    /// Whether no request can be submitted before another one completes.
    pub fn is_full(&self) -> bool {
        self.slots.is_full()
    }

    /// The queue, for its statistics and for requests that are not FUSE.
    pub fn queue(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Sets how to wait from now on.
    pub fn set_waiting(&mut self, waiting: Waiting) {
        self.queue.set_waiting(waiting);
    }

    /// Sets the user, group and process of the following requests.
    pub fn set_owner(&mut self, uid: u32, gid: u32, pid: u32) {
        self.owner = [uid, gid, pid];
    }

    /// Starts again with an empty queue, after a reset of the device.
    pub fn restart(&mut self) {
        self.queue.restart();
        self.slots.clear();
    }

    fn finish(&mut self, used: Used) -> Result<Completion, FuseError> {
        let slot = used.token as usize;
        let queue = self.queue.index();
        let sent = self.slots.end(slot);
        let sent = sent.ok_or(QueueError::NotInFlight {
            id: slot as u32,
            queue,
        })?;
        let reply = RawReply {
            opcode: sent.opcode,
            shape: sent.shape,
            room: sent.room,
            unique: sent.unique,
            used: used.len,
            slot: self.slots.reply(slot),
        };
        let (unique, result) = (sent.unique, reply.parse());
        Ok(Completion { unique, result })
    }

    fn header(&self, request: &Request<'_>, unique: Unique) -> InHeader {
        let [uid, gid, pid] = self.owner;
        InHeader {
            len: 0,
            opcode: request.body.number,
            unique: unique.0,
            nodeid: request.node.0,
            uid,
            gid,
            pid,
            padding: 0,
        }
    }
}
