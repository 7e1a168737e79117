// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! A daemon with a VM, and steps that the model follows.

mod files;
mod flight;
mod setup;
mod verify;
mod vmm;
mod watch;
mod window;

use anyhow::{Result, ensure};
use virtiofs_driver::FuseError;

pub use flight::{Flight, Landed};
pub use setup::{Rig, RigOptions, daemon, vm_options};
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

/// Fails unless the daemon answered with this errno.
///
/// # Errors
/// The answer.
pub fn expect_errno<T>(result: Result<T, FuseError>, errno: i32, what: &str) -> Result<()> {
    let got = outcome(result)?.map(drop);
    let name = |errno| std::io::Error::from_raw_os_error(errno);
    ensure!(
        got == Err(errno),
        "{what}: the guest got {:?}, not {:?}",
        got.map_err(name),
        name(errno)
    );
    Ok(())
}
