// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The driver's half of a split virtqueue (VIRTIO 1.3, 2.7).
//!
//! A [`Queue`] belongs to one thread. Its request path takes no lock, allocates nothing, and makes
//! no system call, except to kick the device and to wait for its interrupt.

mod chains;
mod layout;
mod notify;
mod raw;
mod split;
mod waiting;

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::memory::MemoryError;
use crate::units::QueueIndex;

pub use layout::{Descriptor, Layout};
pub use notify::Notifier;
pub use raw::{RawQueue, UsedElement};
pub use split::{Queue, QueueStats, Used};

/// The settings of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueOptions {
    /// Descriptors of the queue, a power of two.
    pub size: u16,
    /// Whether VIRTIO_F_EVENT_IDX was negotiated.
    pub event_index: bool,
    /// Whether requests use indirect tables. VIRTIO_F_INDIRECT_DESC must have been negotiated.
    pub indirect: bool,
    /// The number of descriptors in an indirect table.
    pub table_entries: u16,
}

/// How to wait for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waiting {
    /// Sleep until the device interrupts.
    #[default]
    Interrupt,
    /// Poll the used ring, without interrupts.
    Poll,
    /// Poll the used ring this many times, and then sleep.
    PollThenInterrupt(u32),
}

/// Errors of a queue.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum QueueError {
    /// VIRTIO does not permit the size.
    #[error("{size} is no size for a queue: a power of two up to 32768 is")]
    Size { size: u16 },
    /// All descriptors, or all indirect tables, are in use.
    #[error("no descriptors are free for a request of {wanted} buffers")]
    Full { wanted: usize },
    /// The request has no buffers, or more than fit into a table.
    #[error("a request can't have {0} buffers")]
    Buffers(usize),
    /// The device returned a descriptor that it did not have.
    #[error("the device returned descriptor {id} of {queue}, which it did not have")]
    NotInFlight { id: u32, queue: QueueIndex },
    /// The device returned no request in time.
    #[error("waited {patience:?} for the device to return a request of {queue}")]
    TimedOut {
        patience: Duration,
        queue: QueueIndex,
    },
    /// The daemon has closed its socket.
    #[error("the daemon has closed the connection while a request of {queue} was under way")]
    Disconnected { queue: QueueIndex },
    /// An operation on an event descriptor failed.
    #[error("could not {what}")]
    Event {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    /// Memory for the rings could not be allocated, or an address is outside of them.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}
