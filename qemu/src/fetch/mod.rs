// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a guest is made of, fetched from Debian into a cache and checked at each use: QEMU,
//! kernels with their modules, and a static busybox.

pub mod busybox;
pub mod cache;
pub mod kernel;
pub mod progress;
pub mod qemu;

pub use cache::Cache;
pub use kernel::{Kernel, KernelSpec};
pub use progress::Progress;
pub use qemu::Qemu;
