// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What a run found; `results.json` is this.

mod aim;
mod point;
mod round;
mod run;

pub use aim::{Aim, Bound, Verdict};
pub use point::{Comparison, Fact, Point, Series, Suite};
pub use round::{Measure, Round};
pub use run::{Host, Run, SCHEMA, Settings, Side};
