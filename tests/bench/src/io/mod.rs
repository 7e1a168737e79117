// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE requests, over and over: how many a second, how long each takes, and what processor time
//! they cost.
//!
//! A side has a worker, which is a thread, for each of its request queues. What is asked is
//! a [`Work`]; a worker turns it into requests, keeps as many of them under way as the depth says,
//! and checks each reply.

mod fixture;
mod measure;
mod sample;
mod step;
mod work;
mod worker;

pub use measure::measure;
pub use work::{Order, Size, Work};
