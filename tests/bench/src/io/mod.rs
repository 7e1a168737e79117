// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! FUSE requests, over and over: how many a second, how long each takes, and what processor time
//! they cost.
//!
//! A side has a lane for each of its request queues, and a lane has a thread. What is asked is
//! a [`Work`]; a lane turns it into requests, keeps as many of them under way as the depth says,
//! and checks each reply.

mod buffers;
mod lane;
mod measure;
mod scene;
mod step;
mod turn;
mod work;

pub use measure::measure;
pub use work::{Order, Size, Work};
