// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Everything between a host and a running guest: getting QEMU, kernels and a busybox into a
//! checked cache, building the guest's initramfs, and starting and ending the virtual machine.
//!
//! Owner of: the cache folder, the private apt set-up, the QEMU command line and its processes.
//! Non-goals: the protocol spoken with the guest's agent, and the daemon that serves a share.

pub mod accel;
pub mod fetch;
pub mod initramfs;
pub mod machine;
pub mod process;
