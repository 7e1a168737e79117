// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A process in the guest that carries out the host's requests, one [`Op`] at a time.
//!
//! The host starts it as a command, `guest-agent worker`; requests and answers are lines of JSON on
//! its standard input and output, so that a log of them can be read. An op that blocks in the kernel
//! is answered when it returns: that is how a test sees what waits. What a worker has opened, mapped
//! or pinned is in its [`HandleTable`] until it is closed, or the worker ends.

mod op;
mod races;
mod serve;

pub use op::{Answer, Fault, HandleTable, Op, Request, Span};
pub use races::{Repeat, Repeated, Schedule, Sequence};
pub use serve::{ARGUMENT, once, serve};
