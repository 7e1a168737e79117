// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon with a VM, and steps that the model follows.

mod device;
mod files;
mod flight;
mod outcome;
mod script;
mod setup;
mod verify;
mod watch;
mod window;

pub use flight::{Flight, Landed};
pub use outcome::{expect_errno, outcome};
pub use script::Held;
pub use setup::{Rig, RigOptions, daemon, vm_options};
pub use verify::ended;
pub use watch::{STEP_LIMIT, Watch};
