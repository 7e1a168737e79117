// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The targets. Each has a `run` that plays one input, and that panics if a check fails.

pub mod command_line;
pub mod fuse_chain;
pub mod idmap;
pub mod vhost_user;
pub mod virtqueue;
pub mod window;
pub mod xattrmap;

/// The name of a target, and the function that plays an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const ALL: [Target; 7] = [
    ("fuse_chain", fuse_chain::run),
    ("virtqueue", virtqueue::run),
    ("window", window::run),
    ("vhost_user", vhost_user::run),
    ("xattrmap", xattrmap::run),
    ("idmap", idmap::run),
    ("command_line", command_line::run),
];
