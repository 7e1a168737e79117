// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The lab's `/init`: the first process of a test guest, which carries out the host's requests
//! there.
//!
//! It boots the guest (`boot`), then serves one connection (`serve`), and powers the guest off when
//! that ends (`shutdown`). It needs no other program, and uses plain threads: no thread waits for a
//! command's consumer while it holds a resource that another thread needs. `guest-agent --serve`
//! serves a connection in an ordinary process, for tests.
//!
//! Non-goals: a general init (no services, no users), and protection against its host.

mod boot;
mod children;
mod exec;
mod outbox;
mod port;
mod requests;
mod serve;
mod shutdown;
mod start;

pub use start::start;
