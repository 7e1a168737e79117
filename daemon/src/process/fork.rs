// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

//! fork(2), without exec.

use nix::unistd::{ForkResult, Pid};

use super::error::StartError;

/// The process in which a fork returns.
pub(super) enum Side {
    /// The caller, which may wait for the child.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Forks this process.
pub(super) fn fork() -> Result<Side, StartError> {
    // SAFETY: this process has one thread, so the child may go on like any process. Start-up
    // creates no thread before the last fork, an invariant in `process`'s documentation.
    match unsafe { nix::unistd::fork() } {
        Ok(ForkResult::Child) => Ok(Side::Child),
        Ok(ForkResult::Parent { child }) => Ok(Side::Parent(child)),
        Err(errno) => Err(StartError::system("fork")(errno.into())),
    }
}
