// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is measured.

mod plans;
mod point;

pub use plans::{Extent, Shard, ShardError, points};
pub use point::{Pins, Point};
