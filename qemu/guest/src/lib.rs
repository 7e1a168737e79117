// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The one static program that a guest needs, and its protocol with the host.
//!
//! As a guest's first process it is the [`agent`]: it boots the guest, runs commands and powers the
//! guest off. The agent's protocol is [`wire`]. Started by the agent as a command, it is a
//! [`worker`], which does one op after the other: to [`files`], [`pins`] and blocks
//! ([`removals`]), to bytes in each way of [`access`], and to working sets ([`workload`]). The host's
//! end of both is `qemu_guest::vm`.

#[expect(missing_docs, reason = "fields whose names say it all")]
pub mod access;
pub mod agent;
#[expect(missing_docs, reason = "fields whose names say it all")]
pub mod files;
pub mod pattern;
#[expect(missing_docs, reason = "fields whose names say it all")]
pub mod pins;
#[expect(missing_docs, reason = "fields whose names say it all")]
pub mod removals;
#[expect(missing_docs, reason = "fields whose names say it all")]
pub mod wire;
pub mod worker;
#[expect(missing_docs, reason = "fields whose names say it all")]
pub mod workload;
