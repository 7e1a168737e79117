// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! Small programs that tests run inside a guest.
//!
//! The binary is static, so that it needs nothing but a kernel. Each command does one thing to a
//! file in one way ([`access::How`]) and says what it saw in one line; the verdict is the exit
//! status. [`pattern`] is what host and guest agree on without passing data around.

pub mod access;
pub mod cli;
pub mod commands;
pub mod file;
pub use guest_agent::pattern;
