// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! What can be done to a DAX page, by whom, and what must come of it.
//!
//! A case is run by *actors*: workers in the guest, processes that do one op after the other as
//! the host asks. An [`Op`](guest_agent::worker::Op) is a request, its answer, and the guest's code
//! for it in one place; a pin or a removal is an op and what [`cases`] knows of it: how it is proven
//! that the pin is held, and what releases it.
//!
//! ```text
//!   guest (qemu/guest)                 host
//!   worker/  ◀── requests ── qemu_guest::vm::Worker ◀── cases
//!            ─── answers ──▶                  ◀── host::Disk: delays replies
//!   files/  pins/  removals/
//! ```

pub mod cases;
pub mod host;
