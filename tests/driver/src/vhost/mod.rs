// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The front end: a [`Vm`] with one virtio-fs device, over the vhost crate's front-end side.
//!
//! ```text
//! Vm::connect ─▶ features, memory, queues, back-end channel ─▶ started
//!     stop ⇄ start          a VM that is paused, or moved
//!     reset                 a driver that starts anew
//!     drop                  the connection is closed
//! ```

mod channel;
mod connect;
mod control;
mod memory;
mod options;
mod queues;
mod vm;
mod watchdog;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::memory::MemoryError;
use crate::queue::QueueError;
use crate::units::QueueIndex;
use crate::window::WindowError;

pub use channel::ChannelEnd;
pub use memory::RegionId;
pub use options::{DeviceConfig, Options, WindowOption};
pub use vm::Vm;

/// Errors between the front end and the daemon.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum VhostError {
    /// No process listens on the socket.
    #[error("could not connect to {socket} within {patience:?}")]
    Connect {
        socket: PathBuf,
        patience: Duration,
        #[source]
        source: io::Error,
    },
    /// A request failed.
    #[error("{request} failed")]
    Request {
        request: &'static str,
        #[source]
        source: vhost::Error,
    },
    /// A request was not answered in time. The connection is closed.
    #[error("waited {patience:?} for the reply to {request}, and closed the connection")]
    TimedOut {
        request: &'static str,
        patience: Duration,
    },
    /// The daemon lacks a feature.
    #[error("the daemon does not offer {0}")]
    NotOffered(&'static str),
    /// The daemon has too few queues.
    #[error("the daemon has {there} queues, {wanted} are wanted (one is for high priority)")]
    Queues { there: u64, wanted: usize },
    /// The queue does not exist, or is already taken.
    #[error("{0} is not there to be taken")]
    NoQueue(QueueIndex),
    /// The memory region does not exist, or holds the queues.
    #[error("there is no such memory region that could be removed")]
    NoRegion,
    /// The device lacks CONFIGURE_MEM_SLOTS, and there are more regions than one message holds.
    #[error("the device can't start: {regions} memory regions don't fit into SET_MEM_TABLE")]
    TableFull { regions: usize },
    /// An operation of this process failed.
    #[error("could not {what}")]
    Local {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// A queue could not be made.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Memory could not be made.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The window could not be made.
    #[error(transparent)]
    Window(#[from] WindowError),
}
