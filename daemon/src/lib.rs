// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `virtiofs-daxd`: a virtiofs daemon for QEMU whose guests can map the shared files through a
//! DAX window.

pub mod adapter;
pub mod backend;
pub mod cli;
pub mod config;
mod fast_path;
pub mod fs;
pub mod serve;
pub mod startup;
pub mod telemetry;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use backend::fuzzing;

#[cfg(test)]
mod testing;
