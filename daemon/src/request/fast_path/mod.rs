// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The most frequent requests, answered without virtiofsd's server.
//!
//! The server reads every request through readers and writers, for which the adapter has to build a
//! second descriptor chain. That costs more than the file system's work for a GETATTR or a small
//! READ. Here the few common requests are read from the checked [`ChainBuffers`] itself and passed to
//! the same file system, by the same methods, with the same arguments.
//!
//! Every unusual request (a truncated message, a reply that does not fit, an invalid name) goes to
//! the server, before anything has been done. So only the server decides the result of such a
//! request.
//!
//! [`ChainBuffers`]: crate::adapter::ChainBuffers

mod call;
mod reply;

#[cfg(test)]
mod tests;

pub(crate) use call::{FastPath, is_quick, may_sleep, serve};
pub(crate) use reply::{Body, Reply};
