// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is counted and timed only where somebody asked to see it (`--metrics`).
//!
//! ```text
//!   Engine ───── operations, errors, bytes, latencies ──▶ Observer ◀── read by crate::telemetry
//!   WindowSide ─ whose mapping, and its name ───────────▶   Chart
//!   ObservedVmm  each call to the VMM, and how long ────▶   │
//! ```
//!
//! [`Metrics`](super::Metrics) holds an [`Observer`] or none; without one no clock is read and
//! nothing here runs. With one, a request costs two looks at the clock and a few relaxed atomic
//! additions. The only lock is the [`Chart`]'s, which nobody holds while they wait for anything.

mod chart;
mod histogram;
mod names;
mod observer;
mod operation;
mod vmm;

pub use chart::{Cell, CellState};
pub use histogram::{BOUNDS, Distribution};
pub use names::Names;
pub use observer::{Observed, Observer};
pub use operation::Class;
pub(super) use vmm::ObservedVmm;
