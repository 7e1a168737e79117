// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's initramfs: an agent as /init, busybox, kernel modules in load order, and files of
//! the caller's choice.
//!
//! It is built on the host without root rights and without cpio or kmod, byte for byte the same
//! from the same inputs, and left uncompressed: an emulated guest unpacks slowly.

mod archive;
pub mod builder;
pub mod modinfo;
pub mod modules;
pub mod path;
mod wanted;

pub use builder::{Initramfs, InitramfsError};
pub use path::{GuestPath, GuestPathError};
