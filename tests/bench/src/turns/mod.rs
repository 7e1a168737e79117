// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Sides take turns: A B A B. What drifts is in both then, and a ratio of neighbours is free of it.

mod length;
mod order;

pub use length::Length;
pub use order::{Aspect, Turn, in_turn};
