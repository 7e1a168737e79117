// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A process in the guest that does what the host orders, one order at a time.
//!
//! Orders and answers are lines of JSON, so that a log of them can be read. An order that blocks
//! in the kernel is answered when it returns: that is how a case sees what waits. What an actor
//! has opened, mapped or pinned it keeps under a name until it is told to let go, or ends.

mod belongings;
mod fault;
mod play;
mod repeat;
mod schedule;
mod wire;

pub use belongings::Belongings;
pub use fault::Fault;
pub use play::play;
pub use repeat::{Repeat, Repeated};
pub use schedule::Schedule;
pub use wire::{Answer, Order, Span, Verb, order};
