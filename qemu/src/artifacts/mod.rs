// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The parts of a guest, from Debian, in a cache and checked at each use: QEMU, fetched or built
//! kernels with their modules, and a static busybox; and, from the crates registry, the virtiofsd
//! that this project's daemon is compared with.
//!
//! Layers, from the bottom: [`tool`] runs host programs, [`cache`] owns the folder and its lock,
//! [`compile`] runs those that take minutes, [`artifact`] and [`manifest`] keep a tree of files
//! whole, [`mirror`], [`apt`] and [`packages`] turn Debian packages into such trees, [`pool`] and
//! [`patch`] get and change sources, and [`qemu`], [`kernel`], [`busybox`] and [`virtiofsd`] know what
//! is in them.

pub mod apt;
pub mod artifact;
pub mod busybox;
pub mod cache;
pub mod compile;
pub mod kernel;
pub mod manifest;
pub mod mirror;
pub mod needs;
pub mod packages;
pub mod patch;
pub mod pool;
pub mod progress;
pub mod qemu;
pub mod source_tools;
pub mod tool;
pub mod virtiofsd;

pub use cache::Cache;
pub use kernel::{Kernel, KernelSpec};
pub use progress::Progress;
pub use qemu::{Qemu, QemuSpec};
