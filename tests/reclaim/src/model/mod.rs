// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a run found, as it stands in `results.json`. `docs/results.md` describes it.

mod aims;
mod crossover;
mod distribution;
mod point;
mod run;

pub use crossover::{Crossover, crossovers};
pub use distribution::{Distribution, Latency};
pub use point::{PointResult, Ratio, Round, Series};
pub use run::{Guests, Kernel, Run, SCHEMA, Settings, SideInfo};
