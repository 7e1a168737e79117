// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The guest's initramfs: an agent as /init, busybox, kernel modules in load order, and files of
//! the caller's choice.

pub mod builder;

pub use builder::{Initramfs, InitramfsError};
