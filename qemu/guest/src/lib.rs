// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The one static program that a guest needs, and what the host says to it.
//!
//! As a guest's first process it is the [`agent`]: it boots the guest, runs commands and powers the
//! guest off. The agent's protocol is [`wire`]. Started by the agent as a command, it is a
//! [`worker`], which does one op after the other: to [`files`], [`pins`] and blocks
//! ([`removals`]), to bytes in each way of [`access`], and to working sets ([`workload`]). The host's end of both is `qemu/vm`.

pub mod access;
pub mod agent;
pub mod files;
pub mod pattern;
pub mod pins;
pub mod removals;
pub mod wire;
pub mod worker;
pub mod workload;
