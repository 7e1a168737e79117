// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A virtqueue: which thread takes requests off it, when it may be stopped, when the guest is
//! notified.
//!
//! ```text
//!   poller ──▶ vring ──▶ quiesce      a request is taken, with a guard that keeps its ring
//!                │ ├───▶ batch, coalescing, reminder      when the guest is notified of it
//!                │ └───▶ inflight, resubmit               what the next daemon has to know
//!              pool, aside, threads                       who serves it
//!   polling                               whether a thread watches the ring before it sleeps
//! ```

pub(crate) mod aside;
pub(crate) mod batch;
pub(crate) mod coalescing;
pub(crate) mod fatal_error;
pub(crate) mod inflight;
pub(crate) mod pause;
pub(crate) mod poller;
pub(crate) mod polling;
pub(crate) mod pool;
pub(crate) mod quiesce;
pub(crate) mod reminder;
pub(crate) mod resubmit;
pub(crate) mod threads;
pub(crate) mod vring;

pub use threads::ThreadsError;
pub use vring::Ring;
