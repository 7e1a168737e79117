// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The one static program that a guest needs, and what the host says to it.
//!
//! As a guest's first process it is the [`agent`]: it boots the guest, runs commands and powers the
//! guest off. The agent's protocol is [`wire`], which the host's end (`qemu/vm`) shares.

pub mod agent;
pub mod wire;
