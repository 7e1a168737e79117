// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A virtio-fs driver in user space, for tests and measurements of vhost-user-fs daemons: it plays
//! both QEMU and the guest, over the daemon's real socket.
//!
//! ```text
//! fuse ──▶ queue ──▶ memory ◀── daemon under test
//!   │                              ▲        │
//!   └──▶ vhost ── control ─────────┘        │
//!           └──── back-end channel ◀────────┘──▶ window
//! ```
//!
//! | room | what it is |
//! |---|---|
//! | [`daemon`] | the daemon's processes: start, accounts, stop |
//! | [`vhost`] | the front end: a [`Vm`] with one device |
//! | [`memory`] | guest memory |
//! | [`queue`] | the driver's half of a virtqueue |
//! | [`fuse`] | a typed client, one request at a time or many |
//! | [`window`] | the VMM's half of the DAX window, and the guest's view of it |

pub mod daemon;
pub mod fuse;
pub mod memory;
pub mod queue;
mod units;
pub mod vhost;
pub mod window;

pub use daemon::Daemon;
pub use fuse::{Body, Client, Framing, FuseError, InitOptions, Pipeline, Reply, Request};
pub use memory::{GuestBuffer, GuestSpan};
pub use queue::{Queue, Waiting};
pub use units::{FileOffset, Handle, NodeId, QueueIndex, Unique, WindowOffset};
pub use vhost::{Options, Vm, WindowOption};
pub use window::{Rules, Script, Window};

/// Queues and clients can be moved to threads.
const _: () = {
    const fn can_be_sent<T: Send>() {}
    can_be_sent::<Queue>();
    can_be_sent::<Pipeline>();
    can_be_sent::<Client>();
    can_be_sent::<Vm>();
    can_be_sent::<Daemon>();
    can_be_sent::<Window>();
    can_be_sent::<GuestBuffer>();
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
