// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! File systems under the share that fail or are slow.
//!
//! - [`Layer`]: a FUSE file system over a directory, whose operations fail or wait on command.
//! - [`Disk`]: ext4 on a disk whose blocks can't be read or written on command.
//! - [`Small`]: a tmpfs that is soon full.
//! - [`Overlay`]: an overlayfs, whose lower directory is to stay as it is.
//! - [`Twice`]: a directory at two places.

mod behaviour;
mod disk;
mod file_system;
mod layer;
mod nodes;
mod overlay;
mod small;
mod twice;

pub use behaviour::{Behaviour, Operation};
pub use disk::Disk;
pub use layer::Layer;
pub use overlay::Overlay;
pub use small::Small;
pub use twice::Twice;
