// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon with a VM, and steps that the model follows.

mod files;
mod flight;
mod setup;
mod verify;
mod vmm;
mod watch;
mod window;

use anyhow::Result;
use virtiofs_driver::FuseError;

pub use virtiofs_driver::fuse::expect_errno;

pub use flight::Flight;
pub use setup::{Rig, RigOptions, daemon, guest, vm_options};
pub use verify::ended;
pub use vmm::Held;
pub use watch::{STEP_LIMIT, Watch};

/// The daemon's answer: a success, or an errno.
///
/// # Errors
/// If the daemon has not answered.
pub fn outcome<T>(result: Result<T, FuseError>) -> Result<Result<T, i32>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => match error.errno() {
            Some(errno) => Ok(Err(errno)),
            None => Err(error.into()),
        },
    }
}
