// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE requests, repeated: their rate, their latency, and their processor time.
//!
//! A side has a worker thread for each of its request queues. A [`Work`] names the requests. A
//! worker makes them, keeps as many of them in flight as the depth says, and checks each reply.

mod fixture;
mod measure;
mod sample;
mod step;
mod work;
mod worker;

pub use measure::measure;
pub use work::{Order, Size, Work};
