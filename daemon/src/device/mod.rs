// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The vhost-user device: rings, requests, and the window's two FUSE messages.
//!
//! ```text
//!   control thread            a thread for each queue, or one, or the pool
//!   Device ──stop, reset──▶ Ring ──▶ Engine ──▶ virtiofsd's server
//!      │                      │         │  window thread
//!      │                      │         └─────▶ WindowSide ──▶ Window ──▶ VhostUserShmem ──▶ QEMU
//!      └── waits for requests ┘                      ▲
//!          and never for ────────────────────────────┘
//! ```
//!
//! Rules that keep this free of deadlocks, because QEMU serves the window's messages only while it
//! waits for nothing else:
//! * a vring's lock is held to pop or to complete a request, never while one is processed;
//! * the control thread takes no lock that is held across a call to the VMM;
//! * it waits for requests in flight, but not for those inside the window (`ring::quiesce`);
//! * a request is in flight when a thread serves it, not when it waits for one (`ring::pool`), or it is
//!   inside the window (`window::thread`).

mod features;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod migration;
mod session;
mod snapshot_source;
mod vhost_user;
mod vmm_socket;
mod window;

pub use crate::ring::ThreadsError;
pub(crate) use session::KEPT_VIEWS;
pub use session::{Session, SessionError, SessionOptions};
pub use vmm_socket::VmmSocket;
pub use window::SessionWindow;
