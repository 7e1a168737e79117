// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What is done to files, in words that guest and host have in common.

mod files;
mod kinds;
mod orders;
mod stamp;
mod walk;
mod zipf;

pub use files::{Files, Place, RANGE};
pub use kinds::{Access, Pattern, Temperature, Work};
pub use orders::{Answer, Blocked, Counts, Gave, Order, Ran, RanThread};
pub use stamp::{PAGE, Stamp, fill};
pub use walk::Walk;
pub use zipf::Zipf;
