// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A typed FUSE client. The wire types come from fuse-backend-rs.
//!
//! - [`Client`] makes one request at a time, as a function call.
//! - [`Pipeline`] keeps many requests in flight.

mod client;
mod data;
mod directory;
mod encode;
mod files;
mod framing;
mod namespace;
mod pipeline;
mod reply;
mod request;
mod session;
mod slots;

use thiserror::Error;

use crate::memory::MemoryError;
use crate::queue::QueueError;
use crate::units::Unique;
use crate::vhost::VhostError;

pub use client::Client;
pub use directory::DirectoryEntry;
pub use framing::Framing;
pub use fuse_backend_rs::abi::fuse_abi::{
    Attr, AttrOut, EntryOut, FileLock, FsOptions, InitOut, Kstatfs, Opcode, OpenOut, SetattrIn,
    SetattrValid,
};
pub use pipeline::{Completion, Pipeline};
pub use reply::Reply;
pub use request::{Body, Request};
pub use session::InitOptions;

/// An errno that the daemon answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[error("errno {0} ({text})", text = std::io::Error::from_raw_os_error(*.0))]
pub struct Errno(pub i32);

/// Errors of a request.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum FuseError {
    /// The daemon answered with an error.
    #[error("{opcode:?} failed")]
    Failed {
        opcode: Opcode,
        #[source]
        errno: Errno,
    },
    /// The daemon's reply violates the FUSE protocol.
    #[error("the reply to {opcode:?} is wrong: {what}")]
    BadReply { opcode: Opcode, what: String },
    /// All slots are in use.
    #[error("{0} requests are under way, which is the pipeline's depth")]
    Depth(usize),
    /// A request does not fit into a slot.
    #[error("a request of {len} bytes, without bulk data, is more than {limit}")]
    TooLong { len: usize, limit: usize },
    /// A call was made while pipelined requests are in flight.
    #[error("{0} pipelined requests are under way; complete them before a call")]
    Busy(usize),
    /// No request is in flight that could complete.
    #[error("no request is under way")]
    Idle,
    /// The device returned another request than the call's.
    #[error("{got} was returned instead of {wanted}")]
    Mixed { got: Unique, wanted: Unique },
    /// The data does not fit into the client's own buffer.
    #[error("{len} bytes are more than the client's buffer of {limit} holds")]
    Buffer { len: usize, limit: usize },
    /// The queue failed.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// An access to guest memory failed.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The queue could not be taken.
    #[error(transparent)]
    Vhost(#[from] VhostError),
}

impl FuseError {
    /// The daemon's errno, if the daemon answered one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Failed { errno, .. } => Some(errno.0),
            _ => None,
        }
    }
}

/// A result that is not the errno that was expected.
#[derive(Debug, Error)]
#[error("{what}: {got}, not {wanted}")]
pub struct Unexpected {
    what: String,
    got: String,
    wanted: Errno,
}

/// Checks that the daemon has answered a request with this errno.
pub fn expect_errno<T>(
    result: Result<T, FuseError>,
    errno: i32,
    what: &str,
) -> Result<(), Unexpected> {
    let got = match result {
        Ok(_) => "success".to_owned(),
        Err(FuseError::Failed { errno: got, .. }) if got.0 == errno => return Ok(()),
        Err(FuseError::Failed { errno: got, .. }) => got.to_string(),
        Err(other) => other.to_string(),
    };
    let (what, wanted) = (what.to_owned(), Errno(errno));
    Err(Unexpected { what, got, wanted })
}
