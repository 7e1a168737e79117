// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The driver's half of a split virtqueue (VIRTIO 1.3, 2.7).
//!
//! A [`Queue`] belongs to one thread. Nothing on its request path takes a lock, allocates, or asks
//! the kernel, but the kick that the device wants and the wait for its interrupt.

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

/// How a queue works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueOptions {
    /// Descriptors of the queue, a power of two.
    pub size: u16,
    /// Whether VIRTIO_F_EVENT_IDX was negotiated.
    pub event_index: bool,
    /// Whether requests are put into indirect tables, for which VIRTIO_F_INDIRECT_DESC must have
    /// been negotiated.
    pub indirect: bool,
    /// Descriptors that an indirect table has room for.
    pub table_entries: u16,
}

/// How to wait for the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waiting {
    /// Sleep until it interrupts.
    #[default]
    Interrupt,
    /// Look at the used ring all the time, without interrupts.
    Poll,
    /// Look so many times, and then sleep.
    PollThenInterrupt(u32),
}

/// What can go wrong with a queue.
#[derive(Debug, Error)]
pub enum QueueError {
    /// The size is not what VIRTIO allows.
    #[error("{size} is no size for a queue: a power of two up to 32768 is")]
    Size {
        /// The size.
        size: u16,
    },
    /// All descriptors, or all tables, are in use.
    #[error("no descriptors are free for a request of {wanted} buffers")]
    Full {
        /// How many the request needs.
        wanted: usize,
    },
    /// A request without buffers, or with more than fit into a table.
    #[error("a request can't have {0} buffers")]
    Buffers(usize),
    /// The device returned something that it had not been given.
    #[error("the device returned descriptor {id} of {queue}, which it did not have")]
    NotInFlight {
        /// What the used ring says.
        id: u32,
        /// Whose used ring.
        queue: QueueIndex,
    },
    /// Nothing came back in time.
    #[error("waited {patience:?} for the device to return a request of {queue}")]
    TimedOut {
        /// How long.
        patience: Duration,
        /// Where.
        queue: QueueIndex,
    },
    /// The daemon has closed its socket.
    #[error("the daemon has closed the connection while a request of {queue} was under way")]
    Disconnected {
        /// Where.
        queue: QueueIndex,
    },
    /// An event descriptor failed.
    #[error("could not {what}")]
    Event {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// There is no memory for the rings, or an address is outside of them.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}
