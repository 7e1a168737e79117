// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! One request at a time. The calls are in the other files of this folder.

use super::{Body, FuseError, Pipeline, Reply, Request};
use crate::QueueIndex;
use crate::memory::{GuestBuffer, GuestSpan};
use crate::units::NodeId;
use crate::vhost::Vm;

/// Takes the reply apart that the request's shape promises.
macro_rules! expect_reply {
    ($reply:expr, $pattern:pat => $value:expr) => {
        match $reply {
            $pattern => Ok::<_, FuseError>($value),
            other => unreachable!("a reply is parsed by its request's shape: {other:?}"),
        }
    };
}
pub(super) use expect_reply;

/// Bytes of the buffer for calls that take or return slices. By default Linux reads at most 128
/// KiB; this is virtiofsd's limit for one transfer.
const BUFFER: usize = 1 << 20;
/// Requests that [`Client::pipeline`] can have in flight.
const DEPTH: usize = 64;

/// A client on a queue of its own. It belongs to one thread. A call fails with [`FuseError`], whose
/// [`FuseError::errno`] is the daemon's errno.
#[derive(Debug)]
pub struct Client {
    pipeline: Pipeline,
    pub(super) buffer: GuestBuffer,
}

impl Client {
    /// Takes a queue of the VM.
    ///
    /// # Errors
    /// [`FuseError`] if it is taken, or memory is lacking.
    pub fn new(vm: &mut Vm, index: QueueIndex) -> Result<Self, FuseError> {
        Ok(Self {
            buffer: vm.memory().allocate(BUFFER, 4096)?,
            pipeline: Pipeline::new(vm, index, DEPTH)?,
        })
    }

    /// The pipeline below, for requests that are no calls. All of them have to be complete before
    /// the next call.
    pub fn pipeline(&mut self) -> &mut Pipeline {
        &mut self.pipeline
    }

    /// Drops the client and keeps the pipeline.
    pub fn into_pipeline(self) -> Pipeline {
        self.pipeline
    }

    /// Makes a request and waits for its reply.
    ///
    /// # Errors
    /// [`FuseError`]; [`FuseError::errno`] is the daemon's errno.
    pub fn call(&mut self, node: NodeId, body: Body<'_>) -> Result<Reply, FuseError> {
        let under_way = self.pipeline.in_flight();
        if under_way > 0 {
            return Err(FuseError::Busy(under_way));
        }
        let wanted = self.pipeline.submit(&Request::new(node, body))?;
        let completion = self.pipeline.complete()?;
        if completion.unique != wanted {
            let got = completion.unique;
            return Err(FuseError::Mixed { got, wanted });
        }
        completion.result
    }

    /// Makes a request whose reply has no payload.
    pub(super) fn finish(&mut self, node: NodeId, body: Body<'_>) -> Result<(), FuseError> {
        self.call(node, body).map(drop)
    }

    /// Makes a request whose reply is in the client's own buffer.
    pub(super) fn buffered(&mut self, node: NodeId, body: Body<'_>) -> Result<Vec<u8>, FuseError> {
        let reply = self.call(node, body)?;
        let len = expect_reply!(reply, Reply::Data(len) => len)?;
        Ok(self.buffer.to_vec(len as usize)?)
    }

    /// The first `len` bytes of the client's own buffer.
    pub(super) fn own_span(&self, len: usize) -> Result<GuestSpan, FuseError> {
        let limit = self.buffer.len();
        if len > limit {
            return Err(FuseError::Buffer { len, limit });
        }
        Ok(self.buffer.part(0..len))
    }
}
