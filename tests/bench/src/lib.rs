// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The measurements of `daxlab bench`.
//!
//! ```text
//! io, map, window ─▶ daemons and a driver, which is VMM and guest ─▶ model::Run ──┐
//! reclaim         ─▶ guests, each with one side ─▶ reclaim::ReclaimRun ───────────┤
//! tree            ─▶ guests with a source tree  ─▶ tree::TreeRun ─────────────────┼─▶ dax_measure
//! memory          ─▶ more and more guests       ─▶ memory::MemoryRun ─────────────┘
//! instructions    ─▶ a daemon under callgrind   ─▶ instructions::Counts
//! ```
//!
//! A *side* is a system under test in one configuration: a daemon, a way to read a file, the
//! physical limit. A *point* is one measurement that all sides make in turn. A *round* is one turn
//! of each side.

pub mod files;
pub mod guests;
pub mod instructions;
pub mod io;
pub mod map;
pub mod memory;
pub mod model;
mod plan;
pub mod reclaim;
pub mod samples;
mod sheet;
pub mod system;
pub mod tree;
pub mod window;

pub use plan::Plan;
