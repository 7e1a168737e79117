// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemon's counters and timings, and their display.
//!
//! [`Metrics`] always exists. It holds an [`Observer`] only with `--metrics`; without one no clock
//! is read. With one, a request costs two reads of the clock and a few relaxed atomic additions.
//!
//! ```text
//!   Engine ───── operations, errors, bytes, latencies ──▶ Observer ◀── Source ──▶ Snapshot
//!   channel ──── how long each call to the VMM took ────▶    │           │
//!   files ────── the names of files ────────────────────▶    │           └──▶ Window::snapshot
//!   Prometheus, browser, daxlab top ──▶ server ──▶ route ─┬▶ exposition  GET /metrics
//!                                      one thread         ├▶ page        GET /
//!                                                         └▶ window_json GET /window.json
//! ```
//!
//! A client can neither slow down nor end what serves the guest: one thread serves all clients, with
//! a bounded number of connections, of bounded size and duration; it reads atomics, and takes no lock
//! that is held across a wait; and however often it is asked, it looks only so many times a second.

mod behaviour;
mod cell;
mod counters;
mod exposition;
mod histogram;
mod names;
mod observer;
mod operation;
mod page;
mod place;
mod poll_times;
mod refusal;
mod route;
mod server;
mod snapshot;
mod source;
mod window_json;

pub use behaviour::{Behaviour, Trait};
pub use cell::{Cell, CellState};
pub use counters::{Counter, Metrics};
pub use histogram::{BOUNDS, Distribution};
pub use names::Names;
pub use observer::{Observed, Observer};
pub use operation::Class;
pub use place::{Listener, Place};
pub use poll_times::PollTimes;
pub use refusal::{Refusal, Refusals};
pub use server::{MOST_CONNECTIONS, Server};
pub use source::{SnapshotSource, Source, WindowSnapshot};
