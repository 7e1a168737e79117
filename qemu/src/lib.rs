// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Everything between a host and a running guest: getting QEMU, kernels and a busybox into a
//! checked cache, building the guest's initramfs, starting and ending the virtual machine, and having
//! the guest do what is asked of it.
//!
//! Owner of: the cache folder, the private apt set-up, the QEMU command line and its processes.
//! Non-goals: what runs in the guest (`qemu/guest`), and the daemon that serves a share.

pub mod accel;
pub mod artifacts;
pub mod initramfs;
pub mod vm;
