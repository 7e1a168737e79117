// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The host: file systems under the share that fail or are slow.
//!
//! - [`Layer`]: a FUSE file system over a directory, whose operations fail or wait on command.
//! - [`Disk`]: ext4 on a disk whose blocks can't be read or written on command.
//! - [`Small`]: a tmpfs that fills quickly.
//! - [`Overlay`]: an overlayfs, whose lower directory must not change.
//! - [`Twice`]: a directory that is mounted at two places.
//!
//! [`KernelLog`] finds stalls of the host itself.

mod disk;
mod file_system;
mod layer;
mod mounts;
mod nodes;
mod stalls;

pub use disk::Disk;
pub use layer::{Behaviour, Layer, Operation};
pub use mounts::{Mounted, Overlay, Small, Twice};
pub use stalls::KernelLog;
