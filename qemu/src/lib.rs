// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Everything between a host and a running guest: fetches QEMU, kernels and a busybox into a
//! checked cache, builds the guest's initramfs, starts and ends the virtual machine, and sends
//! requests to the guest.
//!
//! Owner of: the cache folder, the private apt set-up, the QEMU command line and its processes.
//! Non-goals: what runs in the guest (`qemu/guest`), and the daemon that serves a share.

pub mod accel;
pub mod artifacts;
pub mod initramfs;
pub mod script;
pub mod vm;
