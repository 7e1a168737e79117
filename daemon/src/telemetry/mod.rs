// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What the daemon shows of itself to whoever asks by HTTP (`--metrics`).
//!
//! ```text
//!   Prometheus, browser, daxlab top ──▶ server ──▶ route ──▶ exposition   GET /metrics
//!                                    one thread      │
//!                                                    ▼
//!                                                  Source ──▶ Snapshot ──▶ counters, window, files
//! ```
//!
//! A client can neither slow down nor end what serves the guest: all of this is one thread of its
//! own, with a bounded number of connections, of bounded size and duration; it reads atomics, and
//! takes no lock that is held by anybody who waits; and however often it is asked, it looks only so
//! many times a second.

mod exposition;
mod place;
mod route;
mod server;
mod snapshot;
mod source;

pub use place::{Listener, Place};
pub use server::{MOST_CONNECTIONS, start};
pub use source::Source;
