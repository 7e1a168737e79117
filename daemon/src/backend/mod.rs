// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The vhost-user device: rings, requests, and the window's two FUSE messages.
//!
//! ```text
//!   control thread            a thread for each queue, or one, or the pool
//!   Device ──stop, reset──▶ Ring ──▶ Engine ──▶ virtiofsd's server
//!      │                      │         │  window thread
//!      │                      │         └─────▶ WindowSide ──▶ Window ──▶ PausedVmm ──▶ QEMU
//!      └── waits for requests ┘                      ▲
//!          and never for ────────────────────────────┘
//! ```
//!
//! Rules that keep this free of deadlocks, because QEMU serves the window's messages only while it
//! waits for nothing else:
//! * a vring's lock is held to pop or to complete a request, never while one is processed;
//! * the control thread takes no lock that is held across a call to the VMM;
//! * it waits for requests in flight, but not for those inside the window (`gate`);
//! * a request is in flight when a thread serves it, not when it waits for one (`pool`), or it is
//!   inside the window (`window_thread`).

mod address_space;
mod again;
mod alarm;
mod behaviour;
mod census;
mod complaint;
mod contain;
mod device;
mod engine;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gate;
mod inflight;
mod intake;
mod locate;
mod look;
mod lost_page;
mod message;
mod metrics;
mod migration;
mod observe;
mod offer;
mod opened;
mod openers;
mod pace;
mod pause;
mod pool;
mod refusal;
mod reminder;
mod ring;
mod session;
mod threads;
mod together;
mod vmm_socket;
mod window_side;
mod window_thread;

pub use behaviour::{Behaviour, Trait};
pub(crate) use complaint::{Complaint, WithSources};
pub use look::{Look, WindowLook};
pub use metrics::{Counter, Metrics};
pub use observe::{BOUNDS, Cell, CellState, Class, Distribution, Names, Observed, Observer};
pub(crate) use openers::MOST as MOST_OPENERS;
pub use refusal::{Refusal, Refusals};
#[cfg(test)]
pub(crate) use ring::Ring;
pub(crate) use session::KEPT_VIEWS;
pub use session::{Session, SessionError, SessionOptions, SessionWindow};
pub use threads::ThreadsError;
pub use vmm_socket::VmmSocket;
