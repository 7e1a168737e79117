// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Numbers from samples. Nothing here knows what was measured.

mod bootstrap;
mod latencies;
mod median;

pub use bootstrap::{Estimate, paired_ratio};
pub use latencies::Latencies;
pub use median::median;
