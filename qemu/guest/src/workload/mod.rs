// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A working set of files that threads access, for benchmarks: what is done to which files, and the
//! ops that make the files, do it, and tell what the kernel did meanwhile.

mod buffer;
mod files;
mod kinds;
mod lane;
mod make;
mod opened;
mod ops;
mod pins;
mod stamp;
mod ticks;
mod trace;
mod turn;
mod walk;
mod zipf;

pub use files::{Files, Place, RANGE};
pub use kinds::{Access, Pattern, Temperature, Work};
pub use make::make;
pub use ops::{Blocked, Count, Counts, Finish, Make, Prepare, Ran, RanThread, Run, Trace};
pub use stamp::{PAGE, Stamp, fill};
pub use trace::TRACEFS;
pub use walk::Walk;
pub use zipf::Zipf;
