// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! `virtiofs-daxd`: a virtiofs daemon for QEMU whose guests can map the shared files through a
//! DAX window.

pub mod adapter;
pub mod cli;
pub mod config;
pub mod device;
pub mod fs;
mod locks;
mod log;
pub mod metrics;
mod node;
pub mod process;
mod request;
mod ring;
mod sandbox;
mod window;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use device::fuzzing;

#[cfg(test)]
mod testing;
