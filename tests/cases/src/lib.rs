// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What can be done to a DAX page, by whom, and what must come of it.
//!
//! A case is played by *actors*, processes in the guest that do one thing after the other as the
//! host orders. What an actor can do is a [`Verb`](actor::Verb): an order, its answer, and the
//! guest's code for it in one place. Pins and removals are verbs with a host half beside them: how
//! it is proven that the pin is held, and what releases it.
//!
//! ```text
//!   guest                         host (feature `host`)
//!   guest-actor ◀── orders ────── host::Actor ◀── cases
//!     actor/     ─── answers ───▶               ◀── host::Disk: withholds replies
//!   pins/  removals/  files/      pins/  removals/  the other half of each
//! ```

pub mod actor;
pub mod files;
pub mod pins;
pub mod removals;

#[cfg(feature = "host")]
pub mod cases;
#[cfg(feature = "host")]
pub mod host;
