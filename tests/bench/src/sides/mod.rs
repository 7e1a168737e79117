// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! The daemons that are compared, each with a VM of its own. A daemon runs all the time, and is
//! idle while it is another's turn.

pub mod cpu;
mod pin;
mod program;
mod running;

pub use cpu::Family;
pub use pin::Pin;
pub use program::{Program, Version};
pub use running::{Running, SideError};
