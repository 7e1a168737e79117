// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The requests that a guest sends most, without virtiofsd's server.
//!
//! The server opens every request through readers and writers, for which the adapter has to build
//! a second descriptor chain; that costs more than what a GETATTR or a small READ has the file
//! system do. Here the few common requests are read from the checked [`Request`] itself and given
//! to the same file system, by the same methods, with the same arguments.
//!
//! Whatever is out of the ordinary (a message that breaks off, a reply that does not fit, a name
//! that is none) is left to the server, before anything has been done: there is one place that
//! decides what such a request comes to.
//!
//! [`Request`]: crate::adapter::Request

mod call;
mod reply;

#[cfg(test)]
mod tests;

pub(crate) use call::{is_quick, serve};
