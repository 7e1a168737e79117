// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The guest's half: files, accesses to them, pins, and what the kernel does meanwhile.

mod buffer;
mod caches;
mod fault;
mod files;
mod lane;
mod mapping;
mod opened;
mod pins;
mod serve;
mod stalled;
mod ticks;
mod trace;
mod turn;

pub use fault::Fault;
pub use files::make;
pub use serve::serve;
pub use trace::TRACEFS;
