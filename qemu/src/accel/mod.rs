// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What runs the guest's CPUs, and whether KVM really does.
//!
//! A `/dev/kvm` that opens, creates a VM and even a vCPU may still never run an ordinary guest (a
//! nested KVM for paravirtual guests only, for one). So KVM is taken only after a [`probe`] guest
//! has run 64-bit code to its end under it.

mod choice;
pub mod probe;
mod program;
mod verdict;

pub use choice::{Accel, AccelChoice, AccelError, Chosen, Prober};
